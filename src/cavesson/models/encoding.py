"""Text to token ids, as the tokenizer does it, except that a special token's name inside a message is plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from cavesson.errors import ConfigError

After = Literal["start", "special", "text"]
"""What stands before a piece of text: nothing (the piece starts the text), a special token, or other text."""

THOUGHT = frozenset({"<think>", "</think>"})
"""The tags around the reasoning in a message's text."""

_BREAK = "\ue004break\ue005"
"""Placeholder for a special token in front of a piece; it occurs in no text."""


class TextEncoder:
    """Encodes pieces of one text that was cut where an answer starts or ends.

    Args:
        tokenizer: a fast tokenizer (one backed by the `tokenizers` library).

    Raises:
        ConfigError: the tokenizer is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(
                f"The tokenizer of {tokenizer.name_or_path!r} is not a fast one.",
                "Save it with a tokenizer.json (transformers.AutoTokenizer does that).",
            )
        # A copy: padding and truncation that other code sets on the tokenizer must not reach training data.
        self._backend = Tokenizer.from_str(_with_plain_tags(backend))
        self._backend.no_padding()
        self._backend.no_truncation()
        self.special: dict[str, int] = {
            token.content: i for i, token in self._backend.get_added_tokens_decoder().items() if token.special
        }
        self.swallows_space = frozenset(
            token.content
            for token in self._backend.get_added_tokens_decoder().values()
            if token.special and token.rstrip
        )
        """Special tokens that absorb the white space behind them."""
        longest_first = sorted(self.special, key=len, reverse=True)
        self.special_pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._special_ids = frozenset(self.special.values())
        self._backend.add_tokens([AddedToken(_BREAK, special=False, normalized=False)])
        self._break_id = self._backend.token_to_id(_BREAK)
        self._verbatim = Tokenizer.from_str(self._backend.to_str())
        self._verbatim.encode_special_tokens = True
        # Some tokenizers (those like SentencePiece) put a space before any text: right at the start, wrong at a cut.
        # For them, a piece is encoded behind a short known text, whose tokens are then dropped.
        newline, letter, both = _encode(self._backend, ["\n", "a", "\na"])
        self._adds_space = both != newline + letter
        self._before: dict[After, str] = {"start": "", "special": _BREAK, "text": "\n"}
        self._dropped: dict[After, int] = {"start": 0, "special": 1, "text": len(newline)}
        self._fixed: dict[tuple[str, After], list[int]] = {}

    def names_special(self, text: str) -> bool:
        """Whether a special token's name stands in the text."""
        return self.special_pattern.search(text) is not None

    def encode(self, texts: Sequence[str], after: Sequence[After]) -> list[list[int]]:
        """Token ids of each piece; names of special tokens become special tokens."""
        return self._continue(self._backend, texts, after)

    def encode_fixed(self, text: str, after: After) -> list[int]:
        """`encode` for one piece that comes again and again; the result is kept."""
        if (text, after) not in self._fixed:
            self._fixed[text, after] = self.encode([text], [after])[0]
        return self._fixed[text, after]

    def encode_mixed(self, parts: Sequence[tuple[str, bool]], after: After) -> list[int]:
        """Token ids of a piece with a special token's name inside a message.

        Args:
            parts: (text, whether the text is a message's) in order; only the template's texts have special tokens.
            after: what stands before the piece.
        """
        ids: list[int] = []
        run = ""
        for text, is_message in parts:
            if is_message:
                run += text
                continue
            at = 0
            for found in self.special_pattern.finditer(text):
                ids += self._as_text(run + text[at : found.start()], after)
                ids.append(self.special[found.group()])
                run, at, after = "", found.end(), "special"
                while found.group() in self.swallows_space and text[at : at + 1].isspace():
                    at += 1
            run += text[at:]
        return ids + self._as_text(run, after)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens, without special tokens."""
        # A model with spare rows in its vocabulary may write the placeholder's number, which stands for nothing.
        text: str = self._backend.decode([i for i in ids if i != self._break_id], skip_special_tokens=True)
        return text

    def _as_text(self, text: str, after: After) -> list[int]:
        """Token ids of a text without special tokens."""
        if not text:
            return []
        ids = self._continue(self._verbatim, [text], [after])[0]
        if self._special_ids.isdisjoint(ids):
            return ids
        # The vocabulary holds a special token's name as an ordinary word, too. Encoded letter by letter, the name cannot
        # become the special token.
        bits: list[str] = []
        at = 0
        for found in self.special_pattern.finditer(text):
            bits += [text[at : found.start()], *found.group()]
            at = found.end()
        bits = [bit for bit in [*bits, text[at:]] if bit]
        follows: list[After] = [after] + ["text"] * (len(bits) - 1)
        rows = self._continue(self._verbatim, bits, follows)
        return [i for row in rows for i in row if i not in self._special_ids]

    def _continue(self, backend: Tokenizer, texts: Sequence[str], after: Sequence[After]) -> list[list[int]]:
        if not self._adds_space:
            return _encode(backend, texts)
        rows = _encode(backend, [self._before[what] + text for text, what in zip(texts, after, strict=True)])
        return [row[self._dropped[what] :] for row, what in zip(rows, after, strict=True)]


def _with_plain_tags(backend: Tokenizer) -> str:
    """The tokenizer's state in which the tags of reasoning are ordinary words: a message's text holds them."""
    state: str = backend.to_str()
    added = backend.get_added_tokens_decoder().values()
    if not any(token.special and token.content in THOUGHT for token in added):
        return state
    parsed = json.loads(state)
    for token in parsed["added_tokens"]:
        token["special"] = token["special"] and token["content"] not in THOUGHT
    return json.dumps(parsed)


def _encode(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    try:
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    except BaseException as error:  # a panic of the library's Rust code is no Exception
        if not isinstance(error, (TypeError, UnicodeError)) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"The tokenizer cannot encode a text: {reason}",
            "Look for odd characters in the text, or use another model.",
        ) from error
