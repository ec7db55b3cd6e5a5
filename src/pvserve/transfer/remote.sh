# Runs in a pod that has no Python: sh, and of busybox or coreutils head, dd, tar, find, xargs, stat, df, sha256sum, sync.
# Called with VERB ROOT ARGUMENT...; data comes on stdin with its length as an argument, since an exec stream may have
# no end. Every verb says "ok" last: an exec's exit code is not believed. What it cannot do it says in one word instead.
set -eu
umask 002
export LC_ALL=C
verb=$1 root=$2
shift 2

# While this works, the pod's main process hears of it, and so does the client, whose stream idles otherwise.
( while kill -0 $$; do : >/tmp/pvserve-heard; sleep 5; done ) </dev/null >/dev/null 2>&1 &
beat=$!
trap 'kill $beat 2>/dev/null || :' EXIT

stop() { echo "$1"; exit 9; }

# No component of a path below the claim may be a link.
plain() {
  at=$root rest=$1
  while [ -n "$rest" ]; do
    at=$at/${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    if [ -L "$at" ]; then stop link; fi
  done
}

# The directory that this writer writes into, which a later writer renames.
ours() {
  plain "$1"
  if [ ! -d "$root/$1" ]; then stop overtaken; fi
}

# A failed fsync says so once; `sync` without names never does, and some take no names.
if sync /nonexistent/pvserve 2>/dev/null; then
  durable() { xargs -0 -n 1 sh -c 'dd if=/dev/null of="$1" conv=notrunc,fsync 2>/dev/null' sh; sync; }
else
  durable() { xargs -0 sync; }
fi

case $verb in
state) # PATH MODELS: kind, its inode, marker, blocks, inodes, uid, gids, one line each
  plain "$1"; plain "$2"
  if [ -d "$root/$1" ]; then echo directory; elif [ -e "$root/$1" ]; then echo other; else echo nothing; fi
  if [ -d "$root/$1" ]; then ls -di "$root/$1" | head -n 1; else echo; fi
  if [ -f "$root/$2/current" ]; then head -c 64 "$root/$2/current"; fi; echo
  df -Pk "$root" | tail -n 1
  { df -Pi "$root" 2>/dev/null || echo; } | tail -n 1
  id -u; id -G
  ;;
text) # FILE LIMIT
  plain "$1"
  if [ -f "$root/$1" ]; then head -c "$2" "$root/$1"; fi
  ;;
alone) # PATH MODELS: no other model lies above or below it
  plain "$2"
  for record in "$root/$2"/*/path; do
    if [ -L "${record%/path}" ] || [ -L "$record" ] || [ ! -f "$record" ]; then continue; fi
    other=$(head -c 65536 "$record")
    case /$other/ in // | "/$1/" | */../*) continue ;; esac
    case $1/ in "$other"/*) ;; *) case $other/ in "$1"/*) ;; *) continue ;; esac ;; esac
    if [ -d "$root/$other" ]; then printf '%s\n' "$other"; stop entangled; fi
  done
  ;;
begin) # TRANSFER EPOCH: take over the latest earlier epoch; what it noted
  plain "$1/$2"
  mkdir -p "$root/$1"
  last=
  for old in "$root/$1"/*; do
    old=${old##*/}
    case $old in *[!0-9]*) continue ;; esac
    if expr "x$old" '>' "x$2" >/dev/null; then stop "overtaken $old"; fi
    if [ "$old" != "$2" ]; then
      if [ -n "$last" ]; then rm -rf "${root:?}/$1/$last"; fi
      last=$old
    fi
  done
  if [ -n "$last" ]; then
    plain "$1/$last"
    if [ -e "$root/$1/$2" ]; then rm -rf "${root:?}/$1/$last"; else mv "$root/$1/$last" "$root/$1/$2"; fi
  fi
  plain "$1/$2/files"
  mkdir -p "$root/$1/$2/files"
  rm -f "$root/$1/$2/journal"
  if [ -n "$(find "$root/$1/$2" \( -type l -o -type f -links +1 \) | head -n 1)" ]; then stop link; fi
  if [ -f "$root/$1/$2/shell-journal" ]; then cat "$root/$1/$2/shell-journal"; fi
  ;;
make) # DIRECTORY BYTES: directories below it, from stdin
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 mkdir -p
  ;;
part) # DIRECTORY FILE MIB BYTES SHA256 NOTE: write there, read back, note it if it is equal
  ours "$1"; plain "$1/files/$2"
  head -c "$4" | dd of="$root/$1/files/$2" bs=1048576 seek="$3" conv=notrunc,fsync
  sum=$(dd if="$root/$1/files/$2" bs=1048576 skip="$3" 2>/dev/null | head -c "$4" | sha256sum)
  sum=${sum%% *}
  if [ "$sum" = "$5" ]; then echo "$6" >>"$root/$1/shell-journal"; fi
  echo "$sum"
  ;;
forget) # DIRECTORY FILE NOTE
  ours "$1"; plain "$1/files/$2"
  rm -f "$root/$1/files/$2"
  echo "$3" >>"$root/$1/shell-journal"
  ;;
pack) # DIRECTORY BYTES: a tar archive
  ours "$1"
  head -c "$2" | tar -xomf - -C "$root/$1"
  ;;
fsync) # DIRECTORY BYTES: the names on stdin
  ours "$1"; cd "$root/$1"
  head -c "$2" | durable
  ;;
digest) # DIRECTORY BYTES: of the names on stdin, each ended by a NUL
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 sha256sum
  ;;
digest-each) # DIRECTORY BYTES: the same for names that sha256sum may quote, or that may be unreadable
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 -n 1 sh -c 'sha256sum <"$1" || echo unreadable' sh 2>/dev/null
  ;;
sizes) # DIRECTORY BYTES
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 stat -c '%s %a'
  ;;
readable) # DIRECTORY BYTES: r or - for each
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 sh -c 'for name; do if [ -r "$name" ]; then echo r; else echo -; fi; done' sh
  ;;
names) # DIRECTORY: regular files, each ended by a NUL
  ours "$1"; cd "$root/$1"
  find . -type f -print0 || :
  ;;
others) # DIRECTORY: what is neither file nor directory
  ours "$1"; cd "$root/$1"
  find . ! -type f ! -type d -print0 || :
  ;;
remove) # DIRECTORY BYTES
  ours "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 rm -f
  ;;
inode) # DIRECTORY
  ours "$1"
  ls -di "$root/$1" | head -n 1
  ;;
file) # FILE BYTES SHA256: a new file, durable, or none
  plain "$1"; plain "$1.new"
  mkdir -p "$root/${1%/*}"
  head -c "$2" | dd of="$root/$1.new" bs=65536 conv=fsync
  sum=$(sha256sum <"$root/$1.new")
  if [ "${sum%% *}" != "$3" ]; then stop short; fi
  mv -f "$root/$1.new" "$root/$1"
  sync
  ;;
mode) # DIRECTORY FILE: executable
  ours "$1"; plain "$1/$2"
  chmod 775 "$root/$1/$2"
  ;;
publish) # FILES PATH
  ours "$1"; plain "$2"
  case $2 in */*) mkdir -p "$root/${2%/*}" ;; esac
  if [ -d "$root/$2" ]; then rmdir "$root/$2" 2>/dev/null || stop occupied; fi
  if [ -e "$root/$2" ]; then stop occupied; fi
  sync
  # Without -T a directory that appears just now would take the files into itself.
  if mv --help 2>&1 | grep -q -e '-T'; then mv -T "$root/$1" "$root/$2"; else mv "$root/$1" "$root/$2"; fi
  sync
  ;;
tidy) # PARTIAL PREFIX INTENT: all partial transfers to one path
  plain "$1"; plain "$3"
  rm -f "$root/$3"
  rm -rf "${root:?}/$1/$2"-*
  ;;
*)
  stop verb
  ;;
esac
echo ok
