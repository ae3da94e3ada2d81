"""A tokenizer's chat template, compiled: messages to text, with the same result on every day."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cavesson.errors import ConfigError

TODAY = datetime(2024, 7, 26)
"""The date for templates that write today's date, so that a run does not depend on its day (Llama 3's own fallback)."""

LONGEST = 1_000_000
"""Characters that a template may have: some fifty times as many as long ones have."""

LONGEST_TEXT = 20_000_000
"""Characters that a template may write for one conversation, beside those of the messages."""

MOST_STEPS = 200_000
"""Rounds of loops and calls of macros that a template may take for one conversation; real templates take some hundred."""

STEPS_A_MESSAGE = 2_000
"""Further steps for each message of a conversation."""

_SET = "{{% set {name} = {value!r} +%}}"
_IS_SET = re.compile(r"\{% set (\w+) = (.*?) \+%\}", re.DOTALL)
"""How an argument is set at the start of a template."""

_GIVEN = {"messages", "add_generation_prompt", "tools", "documents"}
"""Variables that every template is given; no argument may stand for them."""


class EndlessError(jinja2.TemplateError):
    """A template takes more steps, or writes more, than a template needs."""


class ChatTemplate:
    """A chat template in Jinja's sandbox, with the names and tags that transformers gives templates.

    Args:
        source: the template.
        variables: further variables of the template besides the messages (`bos_token` …).
        owner: the model's name, for messages.

    Raises:
        ConfigError: the template is not valid Jinja, or longer than any template needs to be.
    """

    def __init__(self, source: str, variables: Mapping[str, Any], owner: str) -> None:
        self.owner, self.source = owner, source
        self.variables = {"tools": None, "documents": None, **variables}
        if len(source) > LONGEST:
            raise ConfigError(
                f"The chat template of {owner} has {len(source):,} characters; at most {LONGEST:,} are read.",
                "Repair its chat_template.jinja.",
            )
        try:
            self._environment, self._template = _compiled(source)
        except (jinja2.TemplateError, SyntaxError, RecursionError, MemoryError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(
                f"The chat template of {owner} is not valid: {reason}", "Repair its chat_template.jinja."
            ) from error

    def render(self, messages: Sequence[Mapping[str, str]], prompt: bool = False) -> str:
        """The text of a conversation.

        Args:
            messages: `{"role": …, "content": …}` in order.
            prompt: end the text with the header of an answer that is to be generated.

        Raises:
            ConfigError: the template refuses the conversation, or takes more steps or writes more than a template needs.
        """
        room = LONGEST_TEXT + 10 * sum(len(text) for message in messages for text in message.values())
        self._environment.steps = MOST_STEPS + STEPS_A_MESSAGE * len(messages)
        written: list[str] = []
        try:
            for text in self._template.generate(messages=messages, add_generation_prompt=prompt, **self.variables):
                written.append(text)
                room -= len(text)
                if room < 0:
                    raise EndlessError("it writes text without end")
            return "".join(written)
        except (
            jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError
        ) as error:  # fmt: skip
            roles = ", ".join(message["role"] for message in messages)
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigError(
                f"The chat template of {self.owner} refuses a conversation with the turns {roles or '(none)'}: {reason}",
                "Bring the data into the order of turns that the model knows.",
            ) from error

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of variables that the template reads and that a caller may set, such as `enable_thinking`."""
        tree = self._environment.parse(arguments_set(self.source)[1])
        read = jinja2.meta.find_undeclared_variables(tree)
        asked = {
            test.node.name
            for test in tree.find_all((nodes.Test, nodes.Filter))
            if test.name in {"defined", "undefined", "default", "d"} and isinstance(test.node, nodes.Name)
        }
        assigned = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
        return tuple(
            sorted(read - (assigned - asked) - _GIVEN - self.variables.keys() - self._environment.globals.keys())
        )

    @cached_property
    def constants(self) -> frozenset[str]:
        """The strings in the template's expressions: texts that the template may look for inside a message."""
        tree = self._environment.parse(self.source)
        return frozenset(node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str))

    def with_arguments(self, arguments: Mapping[str, Any]) -> str:
        """The template's source with these variables set at its start, so that a saved model keeps them until they are set anew.

        Raises:
            ConfigError: the template does not read one of the variables.
        """
        for name in arguments:
            if name not in self.arguments:
                raise ConfigError(
                    f"The chat template of {self.owner} does not read the argument {name!r}.",
                    f"It reads {', '.join(self.arguments)}." if self.arguments else "It reads no arguments.",
                )
        before, rest = arguments_set(self.source)
        return "".join(_SET.format(name=name, value=value) for name, value in {**before, **arguments}.items()) + rest


def arguments_set(source: str) -> tuple[dict[str, Any], str]:
    """The arguments that are set at the start of a template's source (`with_arguments`), and the source without them."""
    found: dict[str, Any] = {}
    while (line := _IS_SET.match(source)) is not None:
        try:
            found[line[1]] = ast.literal_eval(line[2])
        except (ValueError, SyntaxError):  # a line of the template's own
            break
        source = source[line.end() :]
    return found, source


@lru_cache(maxsize=128)
def _compiled(source: str) -> tuple[_Environment, jinja2.Template]:
    environment = _Environment()
    return environment, environment.from_string(source)


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`: where an answer starts is found without these marks, so they mark nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja, set up for chat templates as in transformers; it counts the steps of loops and macros, and draws nothing at random."""

    steps = MOST_STEPS

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])
        self.filters["tojson"] = _to_json
        self.filters["random"] = _refuse_chance
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": TODAY.strftime,
            "lipsum": _refuse_chance,
            "_step": self._step,
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        bodies = [node.body for node in tree.find_all(nodes.For)] + [node.body for node in tree.find_all(nodes.Macro)]
        for body in [*bodies, *(node.body for node in tree.find_all(nodes.CallBlock))]:
            step = nodes.Call(nodes.Name("_step", "load"), [], [], None, None)
            body.insert(0, nodes.ExprStmt(step).set_environment(self))
        return tree

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise EndlessError("its loops do not end")


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _refuse_chance(*_: Any, **__: Any) -> None:
    raise jinja2.TemplateError("it writes something random, so no prompt could be written twice")


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)
