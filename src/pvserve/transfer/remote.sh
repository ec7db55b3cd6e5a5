# Runs in a pod that has no Python: sh, and of busybox or coreutils head, dd, tar, find, xargs, stat, sha256sum, sync.
# Called as: sh -c THIS pvserve VERB ROOT ARGUMENT...; data comes on stdin with its length as an argument, since an
# exec stream may have no end. Every verb says "ok" last: an exec's exit code is not believed.
set -eu
umask 0
verb=$1 root=$2
shift 2
: >/tmp/pvserve-heard 2>/dev/null || true

# No component of a path below the claim may be a link.
plain() {
  at=$root rest=$1
  while [ -n "$rest" ]; do
    at=$at/${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    if [ -L "$at" ]; then echo "link $at" >&2; exit 9; fi
  done
}

case $verb in
state) # PATH MODELS: kind, marker, free KiB, free inodes, uid, gids
  plain "$1"; plain "$2"
  if [ -d "$root/$1" ]; then echo directory; elif [ -e "$root/$1" ]; then echo other; else echo nothing; fi
  if [ -e "$root/$2/publishing" ]; then echo publishing; else head -c 65 "$root/$2/current" 2>/dev/null || echo; fi
  df -Pk "$root" | tail -n 1
  df -Pi "$root" 2>/dev/null | tail -n 1 || echo
  id -u; id -G
  ;;
text) # FILE LIMIT
  plain "$1"; head -c "$2" "$root/$1"
  exit 0
  ;;
begin) # PARTIAL EPOCH: take over the latest earlier epoch
  plain "$1"
  mkdir -p "$root/$1"
  for old in "$root/$1"/*; do
    [ -d "$old" ] || continue
    old=${old##*/}
    if [ "$old" = "$2" ]; then continue; fi
    if expr "x$old" '>' "x$2" >/dev/null; then echo overtaken; exit 8; fi
    if [ ! -e "$root/$1/$2" ]; then mv "$root/$1/$old" "$root/$1/$2"; else rm -rf "${root:?}/$1/$old"; fi
  done
  plain "$1/$2/files"
  mkdir -p "$root/$1/$2/files"
  rm -f "$root/$1/$2/journal"
  if [ -n "$(find "$root/$1/$2" -type l | head -n 1)" ]; then echo "link in $1" >&2; exit 9; fi
  cat "$root/$1/$2/shell-journal" 2>/dev/null || true
  ;;
make) # DIRECTORY...
  cd "$root/$1"; shift
  for directory; do mkdir -p "./$directory"; done
  ;;
part) # FILE MIB BYTES: write there, then read back
  plain "$1"
  head -c "$3" | dd of="$root/$1" bs=1048576 seek="$2" conv=notrunc,fsync 2>/dev/null
  dd if="$root/$1" bs=1048576 skip="$2" 2>/dev/null | head -c "$3" | sha256sum
  ;;
pack) # DIRECTORY BYTES: a tar archive
  plain "$1"
  head -c "$2" | tar -xf - -C "$root/$1"
  sync
  ;;
note) # FILE BYTES: append
  plain "$1"
  head -c "$2" >>"$root/$1"
  ;;
digest) # DIRECTORY BYTES: of the names on stdin, each ended by a NUL
  plain "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 sha256sum
  ;;
digest-odd) # DIRECTORY BYTES: the same for names that sha256sum would quote, or that may be unreadable
  plain "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 -n 1 sh -c 'sha256sum <"$1" 2>/dev/null || echo unreadable' sh
  ;;
sizes) # DIRECTORY BYTES
  plain "$1"; cd "$root/$1"
  head -c "$2" | xargs -0 stat -c '%s %a'
  ;;
names) # DIRECTORY: each ended by a NUL, what is no regular file with a leading "!"
  plain "$1"; cd "$root/$1"
  find . -type f -print0
  printf '\n\0'
  find . ! -type f ! -type d -print0
  exit 0
  ;;
file) # FILE BYTES: a new file, durable
  plain "$1"
  mkdir -p "$root/${1%/*}"
  head -c "$2" >"$root/$1.new"
  sync
  mv -f "$root/$1.new" "$root/$1"
  sync
  ;;
mode) # FILE: executable
  plain "$1"; chmod 775 "$root/$1"
  ;;
publish) # FILES PATH
  plain "$1"; plain "$2"
  case $2 in */*) mkdir -p "$root/${2%/*}" ;; esac
  if [ -d "$root/$2" ]; then rmdir "$root/$2"; fi
  if [ -e "$root/$2" ]; then echo occupied; exit 7; fi
  sync
  mv "$root/$1" "$root/$2"
  sync
  ;;
drop) # DIRECTORY
  plain "$1"; rm -rf "${root:?}/$1"
  ;;
*)
  exit 2
  ;;
esac
echo ok
