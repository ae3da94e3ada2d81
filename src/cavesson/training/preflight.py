"""Checks before anything starts: can a user's model be rendered, and does it fit into memory?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from cavesson.errors import ConfigError
from cavesson.figures import bytes_text
from cavesson.lab.numerics import precision_of
from cavesson.lab.recipe import Recipe, inside, lineage
from cavesson.models.folders import to_download
from cavesson.models.notes import note
from cavesson.models.recipes import HFModel, LoRA, ModelRecipe
from cavesson.models.tinker import TinkerModel
from cavesson.models.weights import stored, weights_in
from cavesson.training.given import look_at
from cavesson.training.recipes import Training, root_of

BYTES_PER_WEIGHT = 4
"""Bytes of a weight in training: weights are float32 (autocast makes bfloat16 copies for products)."""

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a weight that is not trained, by the type that the user asks for."""

OPTIMIZER_COPIES = {"sgd": 0, "lion": 1, "muon": 1, "soap": 5}
"""Copies of the trained weights that an optimizer keeps; an optimizer that is not listed counts two, as Adam."""

SMALL = 50_000_000
"""Models with fewer weights fit anywhere; their memory is not estimated."""

LIBRARIES = 1 << 28
"""Bytes that libraries take once they train (measured)."""

USUAL_TOKENS = 256
"""Length of conversations, in tokens, for estimates of memory."""


def preflight(recipes: Iterable[Recipe], workers: int | None) -> None:
    """Check every Hugging Face model, and every data set of a user's, that these recipes use.

    Args:
        recipes: the recipes that are going to be made.
        workers: number of recipes that are made at the same time; None: other machines make them, whose memory is not known.

    Raises:
        ConfigError: a model has no tokenizer, or no chat template that can be split into prompt and answer; or its weights
            are not whole or not those of its config; or an adapter does not fit; or training a model or sampling from it
            needs more memory than is free. Or a row of a data set cannot be read, or trained on (`look_at`).
    """
    wanted = list(recipes)
    look_at(wanted)
    runs = runs_in(*wanted)
    for run in runs:
        run.check()
    models = list(dict.fromkeys(recipe for recipe in lineage(*wanted) if isinstance(recipe, HFModel)))
    counts: dict[Recipe, int] = {}
    for model in models:
        is_trained = any(model in set(lineage(run.base)) for run in runs)
        model.renderer(lambda recipe: Path()).check(train=is_trained)
        folder = folder_of(model)
        counts[model] = (_weights_on_hub(model) or 0) if folder is None else weights_in(folder)
        if folder is not None:
            _look_at(folder, model)
    for there in {
        recipe for recipe in lineage(*wanted, *(run.base for run in runs)) if isinstance(recipe, TinkerModel)
    }:
        there.check(trained=any(there in set(lineage(run.base)) for run in runs))
    _check_adapters(runs)
    for model in models:
        if workers is not None and counts[model] >= SMALL:
            trained = [run for run in runs if model in set(lineage(run.base))]
            taught = {run: sum(counts.get(part, 0) for part in lineage(*_teachers(run))) for run in trained}
            _check_fit(model, counts[model], taught, workers)
    for model in models:
        if folder_of(model) is None:
            _say_download(model)


def _say_download(model: HFModel) -> None:
    """Say that weights will be downloaded, how many bytes and where to: the hub's own progress bars are hidden."""
    from huggingface_hub.constants import HF_HUB_CACHE

    name, revision = model.place()
    if size := to_download(str(name), revision):
        note(
            f"{name}: {bytes_text(size)} of weights are downloaded from the hub, once, to {HF_HUB_CACHE} (HF_HOME moves it)."
        )


def _look_at(folder: Path, model: HFModel) -> None:
    """Check that the weights in a folder are those of its config, and tell the user what may surprise about them.

    Raises:
        ConfigError: see `skeleton`; or the model cannot be placed as its `device_map` says.
    """
    from cavesson.models.folders import remarks
    from cavesson.models.loading import device_of, dtype_in_memory, skeleton
    from cavesson.models.placement import placement
    from cavesson.models.weights import DTYPE_NAMES

    net = skeleton(folder)
    kinds = sorted({DTYPE_NAMES.get(tensor.dtype, tensor.dtype) for tensor in stored(folder).values()})
    dtype = dtype_in_memory(model.dtype or "auto", device_of("auto"), folder)
    if model.device_map:
        placement(net, model.device_map, dtype, model.path)
    held = str(dtype).removeprefix("torch.")
    if kinds != [held] and not model.dtype:
        note(f"{model.path}: the weights are stored in {' and '.join(kinds)}, and held in {held} here.")
    for remark in remarks(folder):
        note(remark)


def _check_adapters(runs: Iterable[Training]) -> None:
    """Check targets and ranks of fresh adapters on models in folders, and say what "all-linear" leaves out.

    Raises:
        ConfigError: see `adapted`.
    """
    known: dict[Path, Any] = {}
    for model, lora in dict.fromkeys((root_of(run), run.adapter) for run in runs if isinstance(run.adapter, LoRA)):
        folder = folder_of(model)
        if folder is None:
            continue
        if lora.targets == "all-linear" and not isinstance(model, HFModel):
            lora.check_rank(tensor.shape for tensor in stored(folder).values())
            continue
        from cavesson.models.adapters import adapted, say_left_out
        from cavesson.models.loading import skeleton

        net = known.setdefault(folder, known.get(folder) or skeleton(folder))
        adapted(net, lora)
        say_left_out(net, lora)


def _teachers(run: Training) -> tuple[ModelRecipe, ...]:
    """The teacher that is in memory beside the trained model, if there is one."""
    return () if run.objective.teacher is None else (run.objective.teacher,)


def runs_in(*recipes: Recipe) -> list[Training]:
    """Every training run inside some recipes, also runs that happen in memory."""
    return [recipe for recipe in inside(*recipes) if isinstance(recipe, Training)]


def folder_of(model: ModelRecipe) -> Path | None:
    """The folder of a shipped or a user's model on this machine; None for other models."""
    place: Path | None = getattr(model, "folder", None)
    return place


def bytes_needed(weights: int, run: Training | None, *, width: int, stored: int = BYTES_PER_WEIGHT) -> int:
    """Memory in bytes for the weights and, in training, for gradients and for the optimizer's and the base's copies.

    Activations come on top (`bytes_on_top`).

    Args:
        weights: number of weights of the model.
        run: the training, or None for sampling only.
        width: width of the model's hidden states; an adapter of rank r adds about 2 r / width of a matrix's weights.
        stored: bytes of a weight that is not trained.
    """
    if run is None:
        return weights * stored
    # copies of the trained weights: gradients, the optimizer's copies, the base's copy
    copies = 1 + OPTIMIZER_COPIES.get(run.optimizer, 2) + run.objective.needs_base
    if run.adapter is None:
        return weights * BYTES_PER_WEIGHT * (1 + copies)
    adapter = int(weights * min(1.0, 2 * _rank(run) / (width or 1024)))
    return weights * stored + adapter * BYTES_PER_WEIGHT * (1 + copies)


def bytes_on_top(weights: int, run: Training, *, width: int, layers: int, vocabulary: int, quick: bool = False) -> int:
    """Memory in bytes that a training step takes besides weights, gradients and optimizer.

    The step takes copies of the weights for products in bfloat16, or with an adapter in float32 the weights with the adapter
    merged. For each token the backward pass takes some 90 bytes per layer and unit of width, and 6 bytes per entry of the
    vocabulary, or 8 with logits of the base or a teacher (measured: `benchmarks/memory.py`). The number of tokens is estimated:
    conversations are assumed to be at most `USUAL_TOKENS` long.

    Args:
        quick: the training runs by `cavesson.training.llama`.
    """
    tokens = run.tokens_at_once(USUAL_TOKENS)
    bf16 = precision_of(run.precision) == "bf16"
    copies = 2 * weights if bf16 else 0
    each = 90
    if quick:
        copies = 2 * weights if bf16 else (4 * weights if run.adapter is not None else 0)
        each = (60 if bf16 else 90) + (9 if run.adapter is not None else 0)
    asked = run.objective.needs_base or run.objective.teacher is not None
    return LIBRARIES + copies + tokens * (each * layers * width + (8 if asked else 6) * vocabulary)


def _rank(run: Training) -> int:
    """Rank of the trained adapter; for a continued adapter, the rank in the training that made the adapter."""
    if isinstance(run.adapter, LoRA):
        return run.adapter.rank
    ranks = [r.adapter.rank for r in lineage(run.base) if isinstance(r, Training) and isinstance(r.adapter, LoRA)]
    return ranks[-1] if ranks else 0


def _check_fit(model: HFModel, weights: int, runs: dict[Training, int], workers: int) -> None:
    """Refuse a model that needs more memory than is free.

    Args:
        weights: number of weights of the model.
        runs: the runs that train the model, each with the number of weights of its teacher.
    """
    free, where, stored = _free_memory()
    if model.device_map and where == "the GPU":
        return  # `placement` has looked at the memory of all GPUs
    stored = WIDTHS.get(model.dtype, stored)
    shape = shape_of(model)
    on_gpu = where == "the GPU"

    def bytes_of(run: Training | None) -> int:
        if run is None:
            return bytes_needed(weights, None, width=shape["width"], stored=stored)
        lasting = bytes_needed(weights, run, width=shape["width"], stored=stored) + runs[run] * stored
        return lasting // (run.ranks if on_gpu else 1) + bytes_on_top(weights, run, **shape)

    need = max(bytes_of(run) for run in (*runs, None))
    if need * workers <= free:
        return
    doing = "training it" if runs else "sampling from it"
    at_once = f" ({workers} at the same time)" if workers > 1 else ""
    fewer = f"--workers {max(1, free // need)}, " if workers > 1 and need <= free else ""
    shared = "several GPUs (blue.processes, red.processes), " if on_gpu else ""
    raise ConfigError(
        f"The model {model.path!r} does not fit: {weights / 1e9:.2g} billion weights, {doing} takes about "
        f"{need * workers / 2**30:.0f} GiB{at_once}, and {where} has {free / 2**30:.0f} GiB free.",
        f"Use {fewer}an adapter (blue.adapter, red.adapter), {shared}a smaller model, or a larger machine.",
    )


class Shape(TypedDict):
    """What `bytes_on_top` takes; a number that is not known is 0."""

    width: int
    layers: int
    vocabulary: int
    quick: bool


def shape_of(model: HFModel) -> Shape:
    """The shape of a model, from its config."""
    import torch
    from transformers import PretrainedConfig

    place, revision = model.place()
    config, _ = PretrainedConfig.get_config_dict(str(place), revision=revision)
    names = (
        ("hidden_size", "n_embd", "d_model"),
        ("num_hidden_layers", "n_layer", "num_layers"),
        ("vocab_size",),
    )
    text = config.get("text_config") or config
    quick = text.get("model_type") == "llama" and not torch.cuda.is_available()
    width, layers, vocabulary = (int(next((text[name] for name in some if text.get(name)), 0)) for some in names)
    return Shape(width=width, layers=layers, vocabulary=vocabulary, quick=quick)


def _weights_on_hub(model: HFModel) -> int | None:
    """Number of weights of a model on the hub, without downloading them; None if the hub does not say."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError, OfflineModeIsEnabled

    name, revision = model.place()
    try:
        counts = HfApi().get_safetensors_metadata(str(name), revision=revision).parameter_count
    except (
        HfHubHTTPError,
        NotASafetensorsRepoError,
        OfflineModeIsEnabled,
        OSError,
    ):  # opening it will say what is wrong
        return None
    return sum(counts.values())


def _free_memory() -> tuple[int, str, int]:
    """Free bytes where models are loaded, the place in words, and the bytes that a frozen weight takes there."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0]), "the GPU", 2
    here = int(psutil.virtual_memory().available)
    allowed = _allowed_memory(Path("/sys/fs/cgroup"))
    if allowed is not None and allowed < here:
        return allowed, "this container", BYTES_PER_WEIGHT
    return here, "this machine", BYTES_PER_WEIGHT


def _allowed_memory(group: Path) -> int | None:
    """Bytes that are free below a container's limit (Linux control groups, version 2); None if there is no limit.

    Memory in the system's file cache counts as free.
    """
    try:
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines()).get("inactive_file", 0)
    except (OSError, ValueError):  # no control groups, or "max": no limit
        return None
    return max(limit - used + int(cached), 0)
