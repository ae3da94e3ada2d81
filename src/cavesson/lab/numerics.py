"""Numerics: the precision and the kernels that training multiplies with. They are part of a trained model's name.

Two processors add up the products of a matrix in different orders. The last bits differ, and some hundred steps of training
make another model of them: the processor acts like a seed. A trained model is therefore named after its *numerics*, so that
two machines do not share a name for different numbers:

    fp32-avx512       float32; the kernels of torch, oneDNN and MKL use AVX-512
    fp32-avx2-amd     float32 with AVX2; MKL has kernels of its own for processors that are not Intel's
    bf16-amx          products in bfloat16 by matrix instructions, everything else in float32
    bf16-cuda-sm90    the same on a GPU of compute capability 9.0

On x86 the family follows what the libraries use, not what the processor could use: torch's kernels follow `ATEN_CPU_CAPABILITY`,
oneDNN's (bfloat16, and a Llama's training in float32) `ONEDNN_MAX_CPU_ISA`, MKL's (other float32) `MKL_CBWR` and `MKL_ENABLE_INSTRUCTIONS`. The flags come from
/proc/cpuinfo; where a system has none, and for GPUs, torch is asked. Numbers may still differ in their last bits between two
models of processor with one name, because MKL and cuBLAS choose by size of cache or number of units too: manifests therefore
record the processor's model as well.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from cavesson.errors import ConfigError, nearest
from cavesson.lab.processors import gpus

PRECISIONS = ("auto", "fp32", "bf16")
"""What a user may ask for without naming a machine."""

_FULL = re.compile(r"(fp32|bf16)-[a-z0-9]+(-[a-z0-9_]+)*")

_VECTORS = ("default", "avx2", "avx512")
"""Families of torch's own kernels on x86, weakest first."""

_NEEDS = {
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "fma"},
    "avx512bf16": {"avx512_bf16"},
    "amx": {"amx_tile", "amx_bf16"},
}
"""Flags of the processor that a family takes, beside those of the families before it."""

_ISA = (
    ("amx", re.compile(r"AMX")),
    ("avx512bf16", re.compile(r"AVX512_CORE_(BF16|FP16)|AVX10")),
    ("avx512", re.compile(r"AVX512")),
    ("avx2", re.compile(r"AVX2")),
    ("default", re.compile(r"AVX|SSE41")),
)
"""Families of oneDNN's kernels, with the values of `ONEDNN_MAX_CPU_ISA` that allow no better one."""

_STRENGTH = ("default", "avx2", "avx512", "avx512bf16", "amx")


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor: its model in words, its maker ("intel", "amd", "arm", "apple" …), its flags (None: unknown)."""

    model: str
    maker: str
    flags: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its model in words, the family of its kernels ("sm90"), whether it multiplies in bfloat16."""

    model: str
    family: str
    has_bf16: bool


def resolved(precision: str) -> str:
    """The named numerics that `precision` means on this machine; a full name stands for itself.

    "auto" is float32 on a CPU, which behaves alike on all processors, and bfloat16 on a GPU that has it. The name is found
    where the recipe is written. If a cluster's nodes have GPUs and the machine that plans has none, give the full name
    ("bf16-cuda-sm90"); `cavesson doctor` on a node prints it.

    Raises:
        ConfigError: `precision` is neither a precision nor a full name.
    """
    check_spelling(precision)
    return here(precision) if precision in PRECISIONS else precision


def check_spelling(precision: str) -> None:
    """Refuse what is neither a precision nor the full name of numerics.

    Raises:
        ConfigError: likewise.
    """
    if precision not in PRECISIONS and not _FULL.fullmatch(precision):
        raise ConfigError(f"There is no precision {precision!r}.", nearest(precision, [*PRECISIONS, here("fp32")]))


@cache
def here(precision: str = "auto") -> str:
    """The name of this machine's numerics in a precision."""
    gpu = _gpu()
    if gpu is None:
        return name_of("fp32" if precision == "auto" else precision, processor(), os.environ)
    chosen = ("bf16" if gpu.has_bf16 else "fp32") if precision == "auto" else precision
    return f"{chosen}-cuda-{gpu.family}"


def precision_of(name: str) -> str:
    """What a name multiplies in: "fp32" or "bf16"."""
    return name.partition("-")[0]


def check_here(name: str, what: str) -> None:
    """Refuse to train under the name of another machine's numerics.

    Args:
        name: the full name.
        what: the training, for the message.

    Raises:
        ConfigError: this machine computes with other numerics.
    """
    own = here(precision_of(name))
    if name != own:
        raise ConfigError(
            f"{what[:1].upper()}{what[1:]} is to be trained with the numerics {name}, and this machine has {own}.",
            f"Train it on a machine with {name}, or ask for precision auto or {precision_of(name)} to train it anew here.",
        )


def machine_model() -> str:
    """The model of the GPU, if there is one, or else of the processor."""
    gpu = _gpu()
    return processor().model if gpu is None else gpu.model


def instructions() -> str:
    """The instruction sets in use, in words: torch's kernels, and oneDNN's where they differ."""
    gpu = _gpu()
    if gpu is not None:
        return f"cuda {gpu.family}"
    found, set_to = processor(), os.environ
    vectors, *products = (
        vectors_of(found, set_to),
        products_of("fp32", found, set_to),
        products_of("bf16", found, set_to),
    )
    return vectors if {*products} == {vectors} else f"{vectors} (products: {', '.join(dict.fromkeys(products))})"


@cache
def processor() -> Processor:
    """The processor of this machine."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 — a file of the kernel
            fields = dict(_field(line) for line in file.read().partition("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        fields = {}
    flags = fields.get("flags", fields.get("Features"))
    maker = fields.get("vendor_id", "")
    return Processor(
        model=fields.get("model name") or platform.processor() or platform.machine(),
        maker={"GenuineIntel": "intel", "AuthenticAMD": "amd"}.get(maker, maker.lower() or _maker()),
        flags=None if flags is None else frozenset(flags.split()),
    )


def vectors_of(found: Processor, variables: Mapping[str, str]) -> str:
    """Family of torch's own kernels: the processor's best, or what `ATEN_CPU_CAPABILITY` says."""
    if is_arm():
        return "sve" if found.flags is not None and "sve" in found.flags else "neon"
    if (wanted := variables.get("ATEN_CPU_CAPABILITY", "").lower()) in _VECTORS:
        return wanted
    if found.flags is None:
        return _asked_of_torch()
    return _best(found.flags, _VECTORS)


def products_of(precision: str, found: Processor, variables: Mapping[str, str]) -> str:
    """Family of oneDNN's kernels for products: the processor's best, no better than `ONEDNN_MAX_CPU_ISA` allows.

    Args:
        precision: "fp32" or "bf16"; only the latter has kernels beyond AVX-512.
        found: the processor.
        variables: the environment.
    """
    if is_arm():
        return "neonbf16" if precision == "bf16" and found.flags is not None and "bf16" in found.flags else "neon"
    best = _asked_of_torch() if found.flags is None else _best(found.flags, _STRENGTH)
    limit = variables.get("ONEDNN_MAX_CPU_ISA", variables.get("DNNL_MAX_CPU_ISA", "")).upper()
    allowed = next((family for family, values in _ISA if values.search(limit)), best)
    return min(best, allowed, "avx512" if precision == "fp32" else "amx", key=_STRENGTH.index)


def name_of(precision: str, found: Processor, variables: Mapping[str, str]) -> str:
    """The name of numerics on a CPU: oneDNN's kernels, and those of torch and MKL where they are of another family.

    Args:
        precision: "fp32" or "bf16".
        found: the processor.
        variables: the environment, for the variables that choose kernels.
    """
    products, vectors = products_of(precision, found, variables), vectors_of(found, variables)
    usual = products if products in ("default", "avx2") or is_arm() else "avx512"
    parts = [precision, products]
    if not is_arm() and vectors != usual:
        parts.append(f"torch_{vectors}")
    if found.maker == "intel" and found.flags is not None and (mkl := _mkl_of(found.flags, variables)) != usual:
        parts.append(f"mkl_{mkl}")
    if found.maker not in ("intel", "arm", ""):
        parts.append(found.maker)
    if wanted := variables.get("MKL_CBWR"):
        parts.append(f"mkl_{re.sub(r'[^a-z0-9]', '', wanted.lower())}")
    return "-".join(parts)


def _mkl_of(flags: frozenset[str], variables: Mapping[str, str]) -> str:
    """Family of MKL's kernels on an Intel processor; on others MKL chooses without regard to these."""
    wanted = variables.get("MKL_ENABLE_INSTRUCTIONS", "").lower()
    allowed = (
        "avx2" if wanted.startswith("avx2") else "avx512" if not wanted or wanted.startswith("avx512") else "default"
    )
    return min(_best(flags, _VECTORS), allowed, key=_VECTORS.index)


def is_arm() -> bool:
    """Whether this is an ARM processor."""
    return platform.machine().lower() in ("arm64", "aarch64")


@cache
def _gpu() -> Gpu | None:
    """The GPU that models are loaded to; None: there is none."""
    if not gpus():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(0)
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Gpu(torch.cuda.get_device_name(0), f"sm{major}{minor}", has_bf16)


def _asked_of_torch() -> str:
    import torch

    found = torch.backends.cpu.get_cpu_capability().lower()
    return found if found in _VECTORS else "default"


def _best(flags: frozenset[str], families: tuple[str, ...]) -> str:
    """The last family that the flags, and the families before it, allow."""
    best = families[0]
    for family in families[1:]:
        if not _NEEDS[family] <= flags:
            if family == "avx512bf16":  # not every processor with matrix instructions lists it
                continue
            break
        best = family
    return best


def _field(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _maker() -> str:
    if is_arm():
        return "apple" if platform.system() == "Darwin" else "arm"
    return (
        "intel" if "intel" in platform.processor().lower() else "amd" if "amd" in platform.processor().lower() else ""
    )
