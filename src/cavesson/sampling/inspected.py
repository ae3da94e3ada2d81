"""A sampler as a model of Inspect's (extra `inspect`). This module imports Inspect; import it where Inspect is needed alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from anyio import to_thread
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    Content,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.model._providers.util.llama31 import Llama31Handler
from inspect_ai.tool import ToolChoice, ToolInfo

from cavesson.chat import Conversation, Message, Role
from cavesson.errors import CavessonError, ConfigError
from cavesson.sampling.sampler import Completion, Params, Sampler

_THOUGHT = re.compile(r"\s*(?:<think>)?(.*?)(?:</think>\s*|$)", re.DOTALL)
AT_ONCE = 32
"""Conversations that Inspect lets wait for one batch."""


@dataclass(slots=True, eq=False)
class _Request:
    conversation: Conversation
    params: Params
    answers: list[Completion] | None = None


class Sampled(ModelAPI):
    """Answers Inspect's requests with a sampler; those that wait at the same time are one batch.

    Greedy where a task names no temperature. Requests for tools are put into words, in the manner in which Inspect does that for
    models without tools of their own.

    Args:
        model_name: the model's name behind the provider's.
        sampler: writes the answers.
        room: most tokens of an answer, where the task does not say.
        identity: which weights answer; goes into each answer's metadata.
    """

    def __init__(
        self,
        model_name: str,
        sampler: Sampler,
        room: int,
        identity: Mapping[str, Any] | None = None,
        config: GenerateConfig = GenerateConfig(),
    ) -> None:
        super().__init__(model_name, config=config)
        self._sampler = sampler
        self._room = room
        self._identity = dict(identity or {})
        self._waiting: list[_Request] = []
        self._turn = anyio.Lock()
        self._asked: Counter[tuple[Conversation, Params]] = Counter()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The answer to one conversation.

        Raises:
            ConfigError: the request is for what a sampler does not give.
        """
        handler = Llama31Handler(self.model_name)
        messages = handler.input_with_tools(input, tools) if tools and tool_choice != "none" else input
        request = _Request(_conversation(messages, handler), Params())
        request.params = self._params(request.conversation, config)
        answers = await self._answered(request)
        choices = [self._choice(answer, tools, handler) for answer in answers]
        read = sum(len(message.content.split()) for message in request.conversation.messages)
        written = sum(len(answer.ids) for answer in answers)
        usage = ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
        return ModelOutput(model=self.model_name, choices=choices, usage=usage, metadata=self._identity)

    async def _answered(self, request: _Request) -> list[Completion]:
        """The answers to a request. Whoever's turn it is asks for all that wait, so most find their answers made."""
        self._waiting.append(request)
        await anyio.sleep(0.005)  # others that start at the same time join the batch
        async with self._turn:
            if request.answers is None:
                batch = [one for one in self._waiting if one.params == request.params]
                self._waiting = [one for one in self._waiting if one.params != request.params]
                asked = [one.conversation for one in batch]
                found = await to_thread.run_sync(self._sampler.sample, asked, request.params)
                for one, answers in zip(batch, found, strict=True):
                    one.answers = answers
        assert request.answers is not None
        return request.answers

    def _params(self, conversation: Conversation, config: GenerateConfig) -> Params:
        if config.logprobs or config.top_k is not None:
            given = "log-probabilities" if config.logprobs else "top_k"
            raise ConfigError(f"A model of Cavesson's gives Inspect no {given}.", "Leave it out of the task's config.")
        params = Params(
            max_tokens=config.max_tokens or self._room,
            temperature=config.temperature or 0.0,
            top_p=1.0 if config.top_p is None else config.top_p,
            n=(config.num_choices or 1) if config.temperature else 1,
            stop=tuple(config.stop_seqs or ()),
        )
        if config.seed is not None or not params.temperature:
            return params.model_copy(update={"seed": config.seed or 0})
        self._asked[conversation, params] += 1  # equal prompts get equal completions: another epoch needs another seed
        return params.model_copy(update={"seed": self._asked[conversation, params] - 1})

    def _choice(self, answer: Completion, tools: Sequence[ToolInfo], handler: Llama31Handler) -> ChatCompletionChoice:
        reasoning, text = split_thought(answer.text)
        plain = ChatMessageAssistant(content=text, model=self.model_name, source="generate")
        message = handler.parse_assistant_response(text, list(tools)) if tools else plain
        if reasoning:
            content: list[Content] = [ContentReasoning(reasoning=reasoning), ContentText(text=message.text)]
            message = message.model_copy(update={"content": content})
        stopped: Literal["tool_calls", "stop", "max_tokens"] = "stop" if answer.finished else "max_tokens"
        return ChatCompletionChoice(message=message, stop_reason="tool_calls" if message.tool_calls else stopped)

    def max_tokens(self) -> int:
        return self._room

    def max_connections(self) -> int:
        return AT_ONCE

    def collapse_user_messages(self) -> bool:
        return True

    def collapse_assistant_messages(self) -> bool:
        return True


@modelapi(name="sampler")
def _sampler() -> type[ModelAPI]:
    return Sampled


def model_of(name: str, sampler: Sampler, room: int) -> Model:
    """A sampler as a model for `inspect_ai.eval`.

    Args:
        name: in logs.
        room: most tokens of an answer, where the task does not say.
    """
    return Model(_sampler(model_name=name, sampler=sampler, room=room), GenerateConfig())  # type: ignore[call-arg]


@contextmanager
def told() -> Iterator[None]:
    """Let Inspect's command line show an error of ours as one message, without a traceback."""
    try:
        yield
    except CavessonError as error:
        raise PrerequisiteError(str(error)) from error


def split_thought(text: str) -> tuple[str, str]:
    """The reasoning in `<think>…</think>` at the start of an answer, opened in the answer or in its prompt; and the rest."""
    if not text.lstrip().startswith("<think>") and "</think>" not in text:
        return "", text
    found = _THOUGHT.match(text)
    assert found is not None, "the pattern matches every text"
    return found[1].strip(), text[found.end() :]


def whole_text(message: ChatMessageAssistant) -> str:
    """An answer as a model writes it, with its reasoning in `<think>…</think>`."""
    if isinstance(message.content, str):
        return message.content
    parts = (f"<think>{one.reasoning}</think>" for one in message.content if isinstance(one, ContentReasoning))
    return "".join(parts) + message.text


def _conversation(messages: Sequence[ChatMessage], handler: Llama31Handler) -> Conversation:
    """Inspect's messages as a conversation: system messages are joined, and results of tools are told by the user."""
    systems = [message.text for message in messages if message.role == "system"]
    turns = [_turn(message, handler) for message in messages if message.role != "system"]
    if turns and turns[-1].role == "assistant":
        raise ConfigError("A model of Cavesson's goes on with no answer that was begun.", "End with a user's message.")
    system = (Message("system", "\n\n".join(systems)),) if systems else ()
    return Conversation((*system, *turns))


def _turn(message: ChatMessage, handler: Llama31Handler) -> Message:
    if isinstance(message, ChatMessageAssistant):
        return Message("assistant", str(handler.assistant_message(message)["content"]))
    if isinstance(message, ChatMessageTool):
        told = str(handler.tool_message(message)["content"])
        return Message("user", f"Result of {message.function or 'the tool'}:\n{told}")
    role: Role = "user"
    return Message(role, message.text)
