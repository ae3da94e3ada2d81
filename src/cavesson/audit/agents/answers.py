"""Reading what a model submitted: JSON, with or without text around it. An answer that cannot be read is reported,
never guessed."""

from __future__ import annotations

import json
import re
from typing import Any

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def read_object(text: str) -> tuple[dict[str, Any], str]:
    """The JSON mapping in an answer, and what is wrong with it; one of the two is empty."""
    if not text.strip():
        return {}, "the model submitted no answer"
    fenced = _FENCE.search(text)
    body = fenced.group(1) if fenced else text[text.find("{") : text.rfind("}") + 1]
    try:
        answer = json.loads(body, strict=False)
    except ValueError:
        return {}, f"the answer is no JSON: {text.strip()[:80]!r}"
    return (answer, "") if isinstance(answer, dict) else ({}, f"the answer is no JSON mapping: {text.strip()[:80]!r}")
