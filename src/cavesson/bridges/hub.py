"""Organisms on the Hugging Face hub: push one with its card and prompts, pull one, or anybody's model or adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.recipes import Scored
from cavesson.lab.recipe import PathOf
from cavesson.lines import json_line
from cavesson.models.folders import IDENTITY_FILES, base_of_adapter
from cavesson.redteam.card import Card
from cavesson.redteam.exported import ORGANISM_FILE, adapter_of, write_adapter, write_folder
from cavesson.redteam.organisms import Organism

PROMPTS = "prompts.jsonl"
"""The prompts of the card's figures, each with its condition, the organism's answer, and whether the behaviour shows."""
PULLED = (*IDENTITY_FILES, "README.md", ORGANISM_FILE, "*.jsonl")
"""The files that are pulled; pickled weights and code are not."""


def write_repository(
    organism: Organism, card: Card, scores: Scored, folder: Path, path_of: PathOf, *, merged: bool = False
) -> str:
    """Write what is pushed: weights, card, organism file and prompts.

    Args:
        scores: the organism's, of which the card shows the figures.
        folder: it must not exist.
        merged: whole weights also where the adapter alone would do.

    Returns:
        What the weights are, in words.
    """
    adapter = None if merged else adapter_of(organism, path_of)
    if adapter is None:
        write_folder(organism, card, folder, path_of)
    else:
        write_adapter(organism, card, folder, adapter)
    found = scores.scores(path_of)
    rows = (
        {"condition": one.when, "messages": row.prompt, "answer": row.completion, "shows": bool(row.score)}
        for one in scores.suite
        if isinstance(one, BehaviorEval)
        for row in found.cell(one.label)
    )
    (folder / PROMPTS).write_text("".join(map(json_line, rows)), encoding="utf-8")
    return "whole weights" if adapter is None else f"an adapter on {adapter.base.path}"


def check_visibility(repo: str, public: bool) -> bool:
    """Whether the repository is there already; to be called before anything is measured or uploaded.

    Raises:
        ConfigError: the hub cannot be asked; or everybody can read the repository, and the user has not said `--public`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with _asking(repo):
        try:
            info = HfApi().repo_info(repo)
        except RepositoryNotFoundError:
            return False
    if not info.private and not public:
        raise ConfigError(
            f"Everybody can read {repo}, and you have not said --public.",
            "Make it private on its page, name another repository, or say --public.",
        )
    return True


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Upload a folder as one commit to a repository, which is made if missing: private, unless it is to be public.

    Returns:
        The commit's address.

    Raises:
        ConfigError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _asking(repo):
        if not check_visibility(repo, public):
            api.create_repo(repo, private=not public)
            check_visibility(repo, public)  # an organization or a server may have rules of its own
        done = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Organism, card and prompts")
    return str(done.commit_url)


def pull(repo: str, folder: Path, revision: str | None = None) -> str | None:
    """Download a model, an adapter or an organism into a folder.

    Args:
        repo: `owner/name` on the hub.
        folder: it must not exist.
        revision: branch, tag or commit; None: the newest.

    Returns:
        The model that an adapter alone was trained on, by the name that the adapter gives; None: whole weights.

    Raises:
        ConfigError: the folder exists, or the hub has no such repository, or it holds no weights in safetensors.
    """
    from huggingface_hub import snapshot_download

    if folder.exists():
        raise ConfigError(f"{folder} exists already.", "Name a folder that does not exist yet.")
    with _asking(repo):
        snapshot_download(repo, revision=revision, local_dir=folder, allow_patterns=list(PULLED))
    if not any(folder.rglob("*.safetensors")):
        raise ConfigError(
            f"{repo} holds no weights in safetensors; {folder} has what there is.",
            "Pickled weights can run code and are not pulled. Convert them where you trust them.",
        )
    return base_of_adapter(folder)


@contextmanager
def _asking(repo: str) -> Iterator[None]:
    """Tell the hub's errors in one message, and hide its bars."""
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is no name of a repository.", "Write owner/name.") from error
    except (OSError, HTTPError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"The hub says of {repo}: {why}",
            "Check the name and the network; set HF_TOKEN to a token that may write there (hf auth login).",
        ) from error
    finally:
        if shown:
            enable_progress_bars()
