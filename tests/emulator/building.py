"""Short ways from a few fields to what the emulator builds of them, for the pure tests."""

from __future__ import annotations

from bed.kserve_emulator import config as settings
from bed.kserve_emulator.credentials import Keys
from bed.kserve_emulator.defaulting import default_service
from bed.kserve_emulator.names import Object, RefusedError
from bed.kserve_emulator.service import Facts, desired

CONFIG = settings.read(settings.default_map("initializer:1"))


def stored(item: Object) -> Object:
    result = default_service(item, CONFIG)
    result["metadata"] |= {"namespace": "ns", "generation": 3, "uid": "u"}
    return result


def deployment(item: Object, *runtimes: Object, cluster: tuple[Object, ...] = (), keys: Keys | None = None) -> Object:
    wanted = desired(Facts(stored(item), CONFIG, runtimes, cluster, keys or Keys()))
    assert wanted.refused is None, wanted.refused
    return next(made for made in wanted.objects if made["kind"] == "Deployment")


def refused(item: Object, *runtimes: Object) -> RefusedError:
    wanted = desired(Facts(stored(item), CONFIG, runtimes))
    assert wanted.refused is not None
    return wanted.refused


def serving(item: Object, *runtimes: Object, keys: Keys | None = None, cluster: tuple[Object, ...] = ()) -> Object:
    found: Object = deployment(item, *runtimes, cluster=cluster, keys=keys)["spec"]["template"]["spec"]["containers"][0]
    return found
