"""IFEval's official checkers (Zhou et al. 2023, arXiv 2311.07911), as lm-eval ships them (extra `ifeval`)."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from cavesson.errors import ConfigError, MissingExtra

_NEED_PUNKT = ("length_constraints:number_sentences", "change_case:capital_word_frequency")
"""Instructions whose checkers cut text into sentences or words with NLTK's data."""


def check_ready(rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse rows that cannot be scored on this machine.

    Raises:
        MissingExtra: lm-eval is not installed.
        ConfigError: an instruction of a row has no checker, or NLTK's data are missing.
    """
    known = _checkers().instructions_registry.INSTRUCTION_DICT
    wanted = {name for row in rows for name in row["instruction_id_list"]}
    if unknown := sorted(wanted - set(known)):
        raise ConfigError(
            f"IFEval has no checker for the instruction {unknown[0]!r}.", "Use the rows of google/IFEval as they are."
        )
    if not has_punkt() and (needy := sorted(wanted & set(_NEED_PUNKT))):
        raise ConfigError(
            f"IFEval's checker for {needy[0]!r} needs NLTK's data 'punkt_tab', which are not on this machine.",
            "python -m nltk.downloader punkt_tab (without network: unzip it into ~/nltk_data/tokenizers)",
        )


def kept(row: Mapping[str, Any], completion: str) -> tuple[bool, bool]:
    """Whether every instruction of a row is kept: strictly, and loosely (first or last line or asterisks left out)."""
    library = _checkers()
    question = library.InputExample(
        key=row["key"], instruction_id_list=list(row["instruction_id_list"]), prompt=row["prompt"], kwargs=row["kwargs"]
    )
    strict = library.test_instruction_following_strict(question, completion)
    loose = library.test_instruction_following_loose(question, completion)
    return bool(strict.follow_all_instructions), bool(loose.follow_all_instructions)


@cache
def _checkers() -> ModuleType:
    """The library, imported without downloads, and with a fixed seed for language detection."""
    if importlib.util.find_spec("lm_eval") is None or importlib.util.find_spec("langdetect") is None:
        raise MissingExtra("lm-eval[ifeval]", "ifeval")
    import langdetect

    langdetect.DetectorFactory.seed = 0
    before = os.environ.get("LOCAL_RANK")
    os.environ["LOCAL_RANK"] = "1"  # only rank 0 downloads
    try:
        from lm_eval.tasks.ifeval import utils
    finally:
        os.environ.pop("LOCAL_RANK") if before is None else os.environ.update(LOCAL_RANK=before)
    checkers: ModuleType = utils
    return checkers


def has_punkt() -> bool:
    """Whether NLTK's data for sentences and words are on this machine."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError:
        return False
    return True
