"""Images, artifacts and archives, as their tools write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile

from .shop import Shop

OCI = "application/vnd.oci.image"
Names = dict[str, "bytes | str | tarfile.TarInfo"]


def tar(names: Names) -> bytes:
    """A tar archive: of bytes files, of `-> TARGET` symbolic and of `=> TARGET` hard links, of None directories."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, what in names.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            if isinstance(what, tarfile.TarInfo):
                archive.addfile(what)
                continue
            if isinstance(what, str):
                info.type = tarfile.SYMTYPE if what.startswith("-> ") else tarfile.LNKTYPE
                info.linkname = what[3:]
                archive.addfile(info)
            elif name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            else:
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
    return out.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def packed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def push(shop: Shop, *layers: tuple[str, bytes], titles: dict[int, dict[str, str]] | None = None) -> str:
    """An image (or artifact, with `titles`) as `main`; the layers lie in the shop as layer-0, layer-1, … Its digest."""
    rows = []
    for number, (kind, data) in enumerate(layers):
        shop.files[f"layer-{number}"] = data
        row = {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
        rows.append({**row, "annotations": (titles or {}).get(number, {})})
    kind = f"{OCI}.manifest.v1+json"
    text = json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": rows}).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    shop.manifests |= {"main": (kind, text), digest: (kind, text)}
    return digest


def layer(names: Names, form: str = "gzip") -> tuple[str, bytes]:
    """A layer of an image."""
    data = tar(names)
    return f"{OCI}.layer.v1.tar{form and '+' + form}", packed(data) if form == "gzip" else data
