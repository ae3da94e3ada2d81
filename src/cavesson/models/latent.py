"""Latent steps: a model that thinks in hidden states instead of tokens (Coconut, Hao et al. 2024, arXiv 2412.06769).

The chat template ends each prompt with a number of latent tokens. A latent token stands for no word: its embedding is the
hidden state (the decoder's last, after the norm) of the token before it, so that the model feeds its own state back to itself so many
times before it writes. No text says what the model thinks. A *mixed* step reads, in place of the state, the mean of the words' embeddings, each weighted
as the state foretells the word ("Soft Thinking", Zhang et al. 2025, arXiv 2505.15778). A model that reasons in words takes such steps without training.

`cavesson.models.worded.Latent` is the recipe, the rest is here: `with_latent_steps` changes the template and marks the config; `attach` makes any causal language model of
transformers read latent tokens, by a hook before its decoder; a saved folder is marked, and `open_folder` attaches the hook again.
Training and sampling go their general ways: the quick paths refuse networks with hooks. The gradient goes through all steps.

Legend of shape suffixes: R = rows, C = columns, D = hidden size.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from tokenizers import AddedToken
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from cavesson.errors import ConfigError
from cavesson.models.attention import CPU_ATTENTION
from cavesson.models.context import base_of, text_config
from cavesson.models.model import Model, merged
from cavesson.models.rendering import Renderer
from cavesson.models.template import arguments_set

TOKEN = "<|latent|>"
"""The token that stands for a latent step."""

ARGUMENT = "latent_steps"
"""The argument of the chat template with the number of steps: 0 cuts the latent steps."""

_MARK = "latent_token_id"
"""The setting of config.json that says that a network reads latent tokens."""

_MIXED = "latent_mixed"
"""The setting of config.json that says that latent steps are mixed ones."""

_CACHES = ("cache", "past_key_values")
"""The argument of a decoder that takes its keys and values: since transformers 5.24, and before it."""

_BEFORE = (
    "{{%- if {argument} is not defined -%}}{{%- set {argument} = {steps} -%}}{{%- endif -%}}"
    "{{%- set latents = namespace(turns=[]) -%}}"
    "{{%- for turn in messages -%}}"
    "{{%- set thought = '{token}' * {argument} + '{close}' if turn['role'] == 'assistant' else '' -%}}"
    "{{%- set latents.turns = latents.turns + [dict(turn, content=thought + turn['content'])] -%}}"
    "{{%- endfor -%}}"
    "{{%- set messages = latents.turns -%}}"
)
_AFTER = "{{%- if add_generation_prompt -%}}{{{{- '{token}' * {argument} + '{close}' -}}}}{{%- endif -%}}"

_WRITTEN = re.compile(
    re.escape(_BEFORE.format(argument=ARGUMENT, steps="STEPS", token=TOKEN, close="CLOSE"))
    .replace("STEPS", r"(?P<steps>\d+)")
    .replace("CLOSE", "(?P<close>.*?)"),
    re.DOTALL,
)
"""What `with_latent_steps` writes in front of a template."""


def with_latent_steps(model: Model, steps: int, mixed: bool = False, close: str = "") -> Model:
    """The model with `steps` latent steps before each answer.

    The network is changed in place: it gets a row of embeddings for the latent token if it has none to spare. An adapter is
    merged first. A model that has latent steps gets the new number of steps.

    Args:
        steps: latent steps before an answer.
        mixed: steps are mixed ones. No gradient flows back through a mixture, as none does through a word that was sampled.
        close: the text with which the template ends the steps.

    Raises:
        ConfigError: with this chat template an answer would not begin right behind the latent steps; or steps are mixed, and the
            model's embeddings are not tied.
    """
    if ARGUMENT in model.renderer.template.arguments:
        return model.with_template_args({ARGUMENT: steps})
    model = merged(model)
    net: Any = model.net
    if mixed and not net.config.tie_word_embeddings:
        raise ConfigError(
            f"{model.renderer.name} reads other embeddings than those with which the model foretells words, so that latent steps cannot be mixed.",
            "Take a model with tied embeddings, or steps that are not mixed.",
        )
    tokenizer = deepcopy(model.tokenizer)
    tokenizer.add_tokens([AddedToken(TOKEN, special=True, normalized=False)], special_tokens=True)
    token = tokenizer.convert_tokens_to_ids(TOKEN)
    names = {"argument": ARGUMENT, "steps": steps, "token": TOKEN, "close": close}
    tokenizer.chat_template = _BEFORE.format(**names) + model.renderer.template.source + _AFTER.format(**names)
    renderer = Renderer(tokenizer)
    try:
        renderer.check(train=True)
    except ConfigError as error:
        raise ConfigError(
            f"The chat template of {renderer.name} leaves no place for latent steps: {error.problem}",
            "Use a template that writes an answer's text unchanged behind the header of the answer.",
        ) from error
    if token >= net.get_input_embeddings().weight.shape[0]:
        net.resize_token_embeddings(token + 1, mean_resizing=False)
    with torch.no_grad():  # a row of chance would make each loaded model another, and might be written as a word
        for rows in (net.get_input_embeddings(), net.get_output_embeddings()):
            rows.weight[token] = 0
    setattr(net.config, _MARK, token)
    if mixed:
        setattr(net.config, _MIXED, True)
    attach(net)
    return replace(model, tokenizer=tokenizer, renderer=renderer)


class Taken(NamedTuple):
    """How a model takes latent steps; fields as the arguments of `with_latent_steps`."""

    steps: int
    mixed: bool
    close: str


def taken(model: Model) -> Taken:
    """How a model takes latent steps; a number that is set as an argument of its template counts.

    Raises:
        ConfigError: the model's template has no latent steps.
    """
    given, source = arguments_set(model.renderer.template.source)
    found = _WRITTEN.search(source)
    if found is None:
        raise ConfigError(
            f"{model.renderer.name} takes no latent steps.", "Take a model with latent steps, such as reasoner-latent."
        )
    steps = int(str(given.get(ARGUMENT, found["steps"])))
    return Taken(steps, bool(getattr(base_of(model.net).config, _MIXED, False)), found["close"])


def in_words(model: Model) -> Model:
    """The model without its latent steps: it writes what it thinks, if it ever learnt to. `with_latent_steps` undoes this.

    The network is changed in place; an adapter is merged first. Other arguments of the chat template stay set.

    Raises:
        ConfigError: the model's template has no latent steps.
    """
    how, model = taken(model), merged(model)
    net: Any = model.net
    tokenizer = deepcopy(model.tokenizer)
    given, source = arguments_set(model.renderer.template.source)
    behind = _AFTER.format(argument=ARGUMENT, token=TOKEN, close=how.close)
    tokenizer.chat_template = _WRITTEN.sub("", source).removesuffix(behind)
    for name in (_MARK, _MIXED):
        if hasattr(net.config, name):
            delattr(net.config, name)
    for hooks in (net.get_output_embeddings()._forward_hooks, net.get_decoder()._forward_pre_hooks):
        for number in [number for number, hook in hooks.items() if isinstance(hook, (_Steps, _Unwritten))]:
            del hooks[number]
    words = replace(model, tokenizer=tokenizer, renderer=Renderer(tokenizer))
    return words.with_template_args({name: value for name, value in given.items() if name != ARGUMENT})


def attach(net: nn.Module) -> None:
    """Let a network read latent tokens, if its config says that it does; a network is attached to once."""
    config: Any = net.config
    token = getattr(config, _MARK, None)
    if token is None:
        return
    decoder: Any = net.get_decoder()  # type: ignore[operator]
    if not any(isinstance(hook, _Steps) for hook in decoder._forward_pre_hooks.values()):
        net.get_output_embeddings().register_forward_hook(_Unwritten(int(token)))  # type: ignore[operator]
        decoder.register_forward_pre_hook(_Steps(int(token), bool(getattr(config, _MIXED, False))), with_kwargs=True)


def latent_token(net: Any) -> int | None:
    """The latent token of a network; None: the network reads none."""
    token: int | None = getattr(base_of(net).config, _MARK, None)
    return token


@dataclass(frozen=True)
class _Unwritten:
    """A hook behind the layer that foretells words: outside training, nobody writes the latent token.

    Attributes:
        token: the latent token.
    """

    token: int

    def __call__(self, head: nn.Module, args: tuple[Any, ...], logits: Tensor) -> Tensor | None:
        if head.training:
            return None
        return logits.index_fill(-1, torch.tensor([self.token], device=logits.device), torch.finfo(logits.dtype).min)


@dataclass(frozen=True)
class _Steps:
    """A hook before a decoder: in place of tokens it gives the decoder embeddings, of which those of latent tokens are states.

    Attributes:
        token: the latent token.
        mixed: whether a latent step reads a mixture of words in place of a state.
    """

    token: int
    mixed: bool

    def __call__(self, decoder: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        if args:
            given, args = {"input_ids": args[0], **given}, args[1:]
        ids = given.get("input_ids")
        if ids is None or not (ids == self.token).any():
            return None
        cache = next((given[name] for name in _CACHES if given.get(name) is not None), None)
        if cache is not None and cache.get_seq_length():
            if ids.shape[1] == 1:  # nobody writes the token: it stands in the free seats of rows that are done
                return None
            raise ConfigError(
                "A latent step stands in a text of which a part was read before.", "Read the text at once."
            )
        words_RCD = decoder.get_input_embeddings()(ids)
        return args, {
            **given,
            "input_ids": None,
            "inputs_embeds": _Text(decoder, given, ids == self.token, self.mixed).filled(words_RCD),
        }


class _Text:
    """Rows of a text, padded at either end or flat (`training/flat.py`), and the decoder that reads them past its hooks.

    Args:
        given: what the decoder is given: a mask (none: whatever padding there is stands at the end), positions (none: the decoder
            counts), and for a flat row, in which many texts stand one after the other, its `rectangles`.
        latent_RC: whether a latent token stands there.
        mixed: whether a latent step reads a mixture of words.
    """

    def __init__(self, decoder: Any, given: dict[str, Any], latent_RC: Tensor, mixed: bool) -> None:
        self.mixed = mixed
        self.decoder, self.mask_RC, self.positions_RC = decoder, given.get("attention_mask"), given.get("position_ids")
        if self.positions_RC is not None:
            self.positions_RC = self.positions_RC.expand(len(latent_RC), -1)
        self.flat = "rectangles" in given
        columns_RC = torch.arange(latent_RC.shape[1], device=latent_RC.device).expand_as(latent_RC)
        begins_RC = columns_RC == 0
        if self.flat:
            begins_RC = begins_RC | (self.positions_RC == 0)
        self.first_RC = (
            (columns_RC * begins_RC).cummax(1).values
        )  # the first column of the text in which a column stands
        self.latent_RC = latent_RC & ~begins_RC  # nothing stands before the first column
        accepted = inspect.signature(decoder.forward).parameters
        layers = DynamicCache(config=text_config(decoder)).layers
        self.cache_name = next((name for name in _CACHES if name in accepted), "")
        self.keeps_keys = bool(self.cache_name and layers) and all(type(layer) is DynamicLayer for layer in layers)
        if self.flat and not self.keeps_keys:
            raise TypeError("a decoder without plain keys and values takes no latent steps in a flat row")

    def filled(self, words_RCD: Tensor) -> Tensor:
        """The embeddings with states at the latent columns: run after run of a text, since later steps look back on earlier ones."""
        before_RC, after_RC = (self.latent_RC.roll(shift, 1) for shift in (1, -1))
        before_RC[:, 0] = after_RC[:, -1] = False
        rows, starts = (self.latent_RC & ~before_RC).nonzero(as_tuple=True)
        counts = (self.latent_RC & ~after_RC).nonzero(as_tuple=True)[1] - starts + 1
        firsts = self.first_RC[rows, starts]
        so_far_RC = (self.latent_RC & ~before_RC).cumsum(1)
        order = so_far_RC[rows, starts] - so_far_RC[rows, firsts]
        states = self._kept if self.keeps_keys else self._anew
        for number in range(1, int(order.max()) + 1 if len(order) else 1):
            at = order == number
            states_RSD = states(words_RCD, rows[at], firsts[at], starts[at], int(counts[at].max()))
            steps = torch.arange(states_RSD.shape[1], device=rows.device)[None]
            taken = steps < counts[at][:, None]
            where = (rows[at][:, None].expand_as(taken)[taken], (starts[at][:, None] + steps)[taken])
            words_RCD = words_RCD.index_put(where, states_RSD[taken].to(words_RCD.dtype))
        return words_RCD

    def _kept(self, words_RCD: Tensor, rows: Tensor, firsts: Tensor, starts: Tensor, most: int) -> Tensor:
        """The states of one run of each text, `[R, S, D]`. The text before the run is read once, padded on the left, and then one
        column a step, with keys and values kept."""
        columns = starts[:, None] + torch.arange(-int((starts - firsts).max()), 0, device=rows.device)[None]
        mask = (columns >= firsts[:, None]).long()
        columns = columns.clamp(min=0)
        if self.mask_RC is not None:
            mask = mask * self.mask_RC[rows[:, None], columns]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        words = words_RCD[rows[:, None], columns]
        kept = {self.cache_name: DynamicCache(config=text_config(self.decoder)), "use_cache": True}
        found: list[Tensor] = []
        with self._usual_attention(), self._gradient():
            for _ in range(most):
                given = {"inputs_embeds": words, "attention_mask": mask, "position_ids": positions, **kept}
                state_RD = self._read(self.decoder.forward(**given)[0][:, -1])
                found.append(state_RD)
                words = state_RD[:, None].to(words.dtype)
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
                positions = positions[:, -1:] + 1
        return torch.stack(found, 1)

    def _anew(self, words_RCD: Tensor, rows: Tensor, firsts: Tensor, starts: Tensor, most: int) -> Tensor:
        """The same for any decoder: each step reads the text up to it anew."""
        words, every, end = words_RCD[rows], torch.arange(len(rows), device=rows.device), words_RCD.shape[1]
        found: list[Tensor] = []
        for step in range(most):
            seen = min(int(starts.max()) + step, end)
            given = {"attention_mask": self.mask_RC, "position_ids": self.positions_RC}
            given = {name: value[rows, :seen] for name, value in given.items() if value is not None}
            with self._gradient():
                read = self.decoder.forward(inputs_embeds=words[:, :seen], use_cache=False, **given)[0]
                found.append(self._read(read[every, (starts + step).clamp(max=seen) - 1]))
            words = words.index_put((every, (starts + step).clamp(max=end - 1)), found[-1].to(words.dtype))
        return torch.stack(found, 1)

    def _read(self, states_RD: Tensor) -> Tensor:
        """What latent steps read of the states before them."""
        if not self.mixed:
            return states_RD
        words_VD = self.decoder.get_input_embeddings().weight
        return (states_RD @ words_VD.T).softmax(-1) @ words_VD  # type: ignore[no-any-return]

    def _gradient(self) -> torch.set_grad_enabled:
        """While the context is open, gradients are kept if they are wanted, and steps are not mixed ones."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.mixed)

    @contextmanager
    def _usual_attention(self) -> Iterator[None]:
        """While the context is open, the decoder's attention is that of ordinary batches."""
        config, before = self.decoder.config, self.decoder.config._attn_implementation
        if self.flat:
            config._attn_implementation = CPU_ATTENTION if self.latent_RC.device.type == "cpu" else "sdpa"
        try:
            yield
        finally:
            config._attn_implementation = before
