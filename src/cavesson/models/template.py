"""A tokenizer's chat template, compiled: messages to text, with the same result on every day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cavesson.errors import ConfigError

TODAY = datetime(2024, 7, 26)
"""The date for templates that write today's date, so that a run does not depend on its day (Llama 3's own fallback)."""

OPEN, CLOSE = "\ue002", "\ue003"
"""Private-use characters written around the text inside `{% generation %}`."""


class ChatTemplate:
    """A chat template in Jinja's sandbox, with the names and tags that transformers gives templates.

    Args:
        source: the template.
        variables: further variables of the template besides the messages (`bos_token` …).
        owner: the model's name, for messages.

    Raises:
        ConfigError: the template is not valid Jinja.
    """

    def __init__(self, source: str, variables: dict[str, Any], owner: str) -> None:
        self.owner, self.variables = owner, variables
        try:
            self._plain = _environment(_Generation).from_string(source)
            self.constants = _constants(source)
            self.has_markers = OPEN in "".join(_data(source, _MarkedGeneration))
            self._marked = _environment(_MarkedGeneration).from_string(source) if self.has_markers else self._plain
        except jinja2.TemplateError as error:
            raise ConfigError(
                f"The chat template of {owner} is not valid: {error}", "Repair its chat_template.jinja."
            ) from error

    def render(self, messages: Sequence[dict[str, str]], prompt: bool = False, marked: bool = False) -> str:
        """The text of a conversation.

        Args:
            messages: `{"role": …, "content": …}` in order.
            prompt: end the text with the header of an answer that is to be generated.
            marked: write `OPEN` and `CLOSE` around the text inside `{% generation %}`.

        Raises:
            ConfigError: the template refuses the conversation.
        """
        template = self._marked if marked else self._plain
        try:
            return template.render(messages=messages, add_generation_prompt=prompt, **self.variables)
        except (jinja2.TemplateError, TypeError, ValueError, AttributeError) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise ConfigError(
                f"The chat template of {self.owner} refuses a conversation with the turns {roles or '(none)'}: {error}",
                "Bring the data into the order of turns that the model knows.",
            ) from error


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`: encloses the text that the model writes."""

    tags = {"generation"}
    before, after = "", ""

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        edges = [jinja2.nodes.Output([jinja2.nodes.TemplateData(text)]) for text in (self.before, self.after)]
        return [jinja2.nodes.Scope([edges[0], *body, edges[1]]).set_lineno(line)]


class _MarkedGeneration(_Generation):
    before, after = OPEN, CLOSE


def _environment(generation: type[_Generation]) -> ImmutableSandboxedEnvironment:
    """Jinja, set up for chat templates as in transformers."""

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = TODAY.strftime
    return environment


def _constants(source: str) -> frozenset[str]:
    """The strings in the template's expressions: texts that the template may look for inside a message."""
    tree = _environment(_Generation).parse(source)
    return frozenset(node.value for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str))


def _data(source: str, generation: type[_Generation]) -> list[str]:
    """The literal text between the template's tags."""
    return [node.data for node in _environment(generation).parse(source).find_all(jinja2.nodes.TemplateData)]
