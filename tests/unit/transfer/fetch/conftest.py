"""Sources of each kind over one server, and one load of the agent in this process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cluster.authority import Authority

from pvserve.model import from_json
from pvserve.transfer.agent.fetch import patience
from pvserve.transfer.agent.fetch.job import Progress, carry_out
from pvserve.transfer.agent.fetch.order import Order

from .shop import KEY, SECRET, Shop

MIB = 1 << 20


@dataclass
class Kind:
    """A source of one kind: `order` makes what the agent is asked, `secret` is the mounted Secret."""

    scheme: str
    shop: Shop
    claim: Path
    secret: Path
    ca: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def source(self) -> dict[str, Any]:
        if self.scheme == "s3":
            return {"scheme": "s3", "uri": "s3://bucket/granite", "bucket": "bucket", "prefix": "granite",
                    "endpoint": f"{self.shop.url}/s3", "secret": "s"}  # fmt: skip
        if self.scheme == "hf":
            return {
                "scheme": "hf",
                "uri": "hf://org/model",
                "repository": "org/model",
                "endpoint": f"{self.shop.url}/hub",
            }
        if self.scheme == "oci":
            host = self.shop.url.partition("://")[2]
            return {
                "scheme": "oci",
                "uri": f"oci://{host}/org/model:main",
                "registry": host,
                "repository": "org/model",
                "reference": "main",
            }
        (name,) = self.shop.files
        return {"scheme": "https", "uri": f"{self.shop.url}/{name}"}

    def order(self, **changes: Any) -> Order:
        value: dict[str, Any] = {
            "version": 1, "source": self.source() | self.extra, "include": [], "exclude": [], "allowPickle": False,
            "place": {"mount": str(self.claim), "path": "models/granite", "key": "models%2Fgranite"}, "claim": "cache",
            "epoch": 0, "replace": False, "fingerprint": "", "ca": self.ca, "proxy": "", "noProxy": "",
        }  # fmt: skip
        return Order({**value, **changes}, str(self.secret))

    def load(self, **changes: Any) -> dict[str, Any]:
        return carry_out(self.order(**changes), Progress())

    def stock(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Put files into the source; of a plain server the largest one alone."""
        if self.scheme == "https":
            name = max(files, key=lambda name: len(files[name]))
            files = {name: files[name]}
        prefix = "granite/" if self.scheme == "s3" else ""
        self.shop.files |= {prefix + name: data for name, data in files.items()}
        return files

    def replace(self, name: str, data: bytes) -> None:
        self.shop.files[("granite/" if self.scheme == "s3" else "") + name] = data

    def there(self) -> dict[str, bytes]:
        """What a reader of the volume finds at the path."""
        top = self.claim / "models/granite"
        return {str(file.relative_to(top)): file.read_bytes() for file in top.rglob("*") if file.is_file()}

    def check(self, files: dict[str, bytes], result: dict[str, Any]) -> None:
        """The volume holds exactly these, its manifest says so, and nothing unfinished is left."""
        assert self.there() == files
        digest = result["manifest"].removeprefix("sha256:")
        text = (self.claim / ".pvserve/models/models%2Fgranite" / digest / "manifest.json").read_text()
        manifest = from_json(text)
        assert {entry.path: entry.sha256 for entry in manifest.entries} == {
            name: hashlib.sha256(data).hexdigest() for name, data in files.items()
        }
        assert list((self.claim / ".pvserve/partial").iterdir()) == []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as in life, only shorter; no proxy of this machine."""
    monkeypatch.setattr(patience, "PAUSE", 0.005)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make(tmp_path: Path, authority: Authority) -> Iterator[Callable[[str], Kind]]:
    shops: list[Shop] = []

    def made(scheme: str) -> Kind:
        shop = Shop(authority.server_context("127.0.0.1", "localhost"))
        shops.append(shop)
        claim, secret = tmp_path / "claim", tmp_path / "secret"
        claim.mkdir(mode=0o775)
        secret.mkdir()
        if scheme == "s3":
            (secret / "AWS_ACCESS_KEY_ID").write_text(KEY)
            (secret / "AWS_SECRET_ACCESS_KEY").write_text(f"{SECRET}\n")
        return Kind(scheme, shop, claim, secret, [str(authority.file)])

    yield made
    for shop in shops:
        shop.shutdown()
        shop.server_close()


@pytest.fixture(params=["s3", "hf", "https", "oci"])
def kind(request: pytest.FixtureRequest, make: Callable[[str], Kind]) -> Kind:
    return make(request.param)


@pytest.fixture(scope="session")
def model() -> dict[str, bytes]:
    """Large and small, empty, deep, oddly named."""
    return {
        "model-00001.safetensors": os.urandom(MIB) * 19 + b"tail",
        "model-00002.safetensors": os.urandom(2 * MIB),
        "config.json": b"{}",
        "empty": b"",
        "sub/dir/tok en+izer%20&<é>.json": os.urandom(5000),
    }
