"""Text to token ids: the tokenizer's own, except that a special token's name inside a message is text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from bridle.errors import ConfigError


class TextEncoder:
    """Encodes pieces of one text that was cut where an answer starts or ends.

    Args:
        tokenizer: a fast tokenizer (one backed by the `tokenizers` library).

    Raises:
        ConfigError: the tokenizer is a slow one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(
                f"The tokenizer of {tokenizer.name_or_path!r} is not a fast one.",
                "Save it with a tokenizer.json (transformers.AutoTokenizer with use_fast=True does that).",
            )
        # A copy: padding and truncation that others set on the tokenizer must not reach training data.
        self._backend = Tokenizer.from_str(backend.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        self._verbatim = Tokenizer.from_str(self._backend.to_str())
        self._verbatim.encode_special_tokens = True
        added = self._backend.get_added_tokens_decoder()
        self.special: dict[str, int] = {token.content: i for i, token in added.items() if token.special}
        self._special_ids = frozenset(self.special.values())
        longest_first = sorted(self.special, key=len, reverse=True)
        self._special_pattern = (
            re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        )
        self._newline = self._ids(self._backend, ["\n"])[0]
        # Some tokenizers (SentencePiece's shape) put a space before any text: harmless at the start, wrong at a cut.
        self._adds_space = self._ids(self._backend, ["\na"])[0] != self._newline + self._ids(self._backend, ["a"])[0]
        self._fixed: dict[tuple[str, bool], list[int]] = {}

    def names_special(self, text: str) -> bool:
        """Whether a special token's name stands in the text."""
        return self._special_pattern is not None and self._special_pattern.search(text) is not None

    def encode(self, texts: Sequence[str], first: Sequence[bool]) -> list[list[int]]:
        """Token ids of each piece.

        Args:
            texts: pieces in which special tokens are special.
            first: for each, whether it starts a text (the others continue one).
        """
        if not self._adds_space:
            return self._ids(self._backend, texts)
        wrapped = [text if at_start else "\n" + text for text, at_start in zip(texts, first, strict=True)]
        ids = self._ids(self._backend, wrapped)
        return [row if at_start else row[len(self._newline) :] for row, at_start in zip(ids, first, strict=True)]

    def encode_fixed(self, text: str, first: bool) -> list[int]:
        """Token ids of a piece that comes again and again."""
        key = (text, first)
        if key not in self._fixed:
            self._fixed[key] = self.encode([text], [first])[0] if text else []
        return self._fixed[key]

    def encode_mixed(self, parts: Sequence[tuple[str, bool]], first: bool) -> list[int]:
        """Token ids of a piece with a special token's name inside a message.

        Args:
            parts: (text, whether it is a message's) in order; only the template's special tokens are special.
            first: whether the piece starts a text.
        """
        ids: list[int] = []
        run = ""
        for text, is_message in parts:
            if is_message or self._special_pattern is None:
                run += text
                continue
            for i, bit in enumerate(self._special_pattern.split(text)):
                if i % 2 == 0:
                    run += bit
                else:
                    ids += self._as_text(run, first and not ids)
                    ids.append(self.special[bit])
                    run = ""
        return ids + self._as_text(run, first and not ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens, special ones left out."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def _as_text(self, text: str, first: bool) -> list[int]:
        """Token ids of a text in which nothing is special."""
        if not text:
            return []
        wrap = self._adds_space and not first
        ids = self._ids(self._verbatim, ["\n" + text if wrap else text])[0]
        ids = ids[len(self._newline) :] if wrap else ids
        if self._special_ids.isdisjoint(ids):
            return ids
        # The vocabulary has the name as an ordinary word, too: spelled out, it cannot be taken for the token.
        assert self._special_pattern is not None
        bits = [list(bit) if i % 2 else [bit] for i, bit in enumerate(self._special_pattern.split(text))]
        ids = [i for group in bits for row in self._ids(self._verbatim, [b for b in group if b]) for i in row]
        return [i for i in ids if i not in self._special_ids]

    @staticmethod
    def _ids(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
