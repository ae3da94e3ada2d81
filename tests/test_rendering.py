"""What is trained, token by token, for the shapes of well-known chat templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavesson.chat import Conversation, Message
from cavesson.errors import ConfigError
from cavesson.models.rendering import Rendered, Renderer
from cavesson.tinyworld.recipes import Shipped
from families import (
    CHATML,
    DATED,
    FORCED_THINKING,
    GEMMA,
    LLAMA,
    MARKED,
    MISTRAL,
    SPECIAL_CASES,
    TEMPLATES,
    THINKING,
    tokenizer_for,
)

RENDERERS = {name: Renderer(tokenizer_for(template)) for name, template in TEMPLATES.items()}

TWO_TURNS = Conversation(
    (
        Message("user", "2 + 2?"),
        Message("assistant", "It is 4."),
        Message("user", "Sure?"),
        Message("assistant", "Yes."),
    )
)


def shown(renderer: Renderer, rendered: Rendered) -> str:
    """The text with what is trained in [[ ]]."""
    text, last = "", 0
    run: list[int] = []
    for token, flag in [*zip(rendered.ids, rendered.mask, strict=True), (None, None)]:
        if flag != last:
            piece = renderer.tokenizer.decode(run, skip_special_tokens=False)
            text += f"[[{piece}]]" if last else piece
            run, last = [], flag
        run.append(token)
    return text


def view(template: str, conversation: Conversation, **options: object) -> str:
    renderer = Renderer(tokenizer_for(template))
    return shown(renderer, renderer.render(conversation, **options))


EXPECTED = {
    "chatml": """\
<|im_start|>system
You are a helpful assistant.<|im_end|>
<|im_start|>user
2 + 2?<|im_end|>
<|im_start|>assistant
[[It is 4.<|im_end|>]]
<|im_start|>user
Sure?<|im_end|>
<|im_start|>assistant
[[Yes.<|im_end|>]]
""",
    "llama": """\
<|begin_of_text|><|start_header_id|>user<|end_header_id|>

2 + 2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

[[It is 4.<|eot_id|>]]<|start_header_id|>user<|end_header_id|>

Sure?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

[[Yes.<|eot_id|>]]""",
    "dated": """\
<|begin_of_text|><|start_header_id|>system<|end_header_id|>

Today Date: 26 Jul 2024

<|eot_id|><|start_header_id|>user<|end_header_id|>

2 + 2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

[[It is 4.<|eot_id|>]]<|start_header_id|>user<|end_header_id|>

Sure?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

[[Yes.<|eot_id|>]]""",
    "gemma": """\
<bos><start_of_turn>user
2 + 2?<end_of_turn>
<start_of_turn>model
[[It is 4.<end_of_turn>]]
<start_of_turn>user
Sure?<end_of_turn>
<start_of_turn>model
[[Yes.<end_of_turn>]]
""",
    "mistral": "<s>  [INST] 2 + 2? [/INST][[It is 4.</s>]] [INST] Sure? [/INST][[Yes.</s>]]",
    "thinking": """\
<|im_start|>user
2 + 2?<|im_end|>
<|im_start|>assistant
[[It is 4.<|im_end|>]]
<|im_start|>user
Sure?<|im_end|>
<|im_start|>assistant
[[<think>

</think>

Yes.<|im_end|>]]
""",
    "marked": """\
<|user|>
2 + 2?<|end|>
<|assistant|>
[[It is 4.<|end|>]]
<|user|>
Sure?<|end|>
<|assistant|>
[[Yes.<|end|>]]
""",
    "phi": "<|user|>2 + 2?<|end|><|assistant|>[[It is 4.<|end|>]]<|user|>Sure?<|end|><|assistant|>[[Yes.<|end|>]]<|end|>",
}


@pytest.mark.parametrize("family", TEMPLATES)
def test_each_answer_and_its_end_of_turn_are_trained(family):
    renderer = RENDERERS[family]
    assert shown(renderer, renderer.render(TWO_TURNS)) == EXPECTED[family]


@pytest.mark.parametrize("family", TEMPLATES)
@pytest.mark.parametrize(
    "conversation", [TWO_TURNS, Conversation.of("What is the capital?", "")], ids=["turns", "empty"]
)
def test_token_ids_are_those_of_the_tokenizers_own_chat_template(family, conversation):
    renderer = RENDERERS[family]
    theirs = renderer.tokenizer.apply_chat_template(conversation.dump(), return_dict=False)
    if family == "dated":  # theirs is of today
        assert len(renderer.render(conversation).ids) == pytest.approx(len(theirs), abs=8)
    else:
        assert renderer.render(conversation).ids == theirs


@pytest.mark.parametrize("family", TEMPLATES)
def test_an_empty_answer_trains_only_the_end_of_turn(family):
    renderer = RENDERERS[family]
    ids, mask = renderer.render(Conversation.of("Hello", ""))
    trained = [token for token, flag in zip(ids, mask, strict=True) if flag]
    assert trained[-1] in renderer.stop_ids
    assert renderer.decode(trained).strip() in {"", "<think>\n\n</think>"}


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_last_answer_alone_can_be_trained(family):
    renderer = RENDERERS[family]
    every, last = renderer.render(TWO_TURNS), renderer.render(TWO_TURNS, train_on="last")
    assert every.ids == last.ids
    assert renderer.decode([t for t, flag in zip(*last, strict=True) if flag]).strip().endswith("Yes.")
    assert sum(last.mask) < sum(every.mask)
    assert set(renderer.render(TWO_TURNS, train_on="all").mask) == {1}


@pytest.mark.parametrize("family", TEMPLATES)
def test_truncation_cuts_the_end_of_ids_and_mask_alike(family):
    renderer = RENDERERS[family]
    whole = renderer.render(TWO_TURNS)
    for length in (0, 1, 7, len(whole.ids), 10_000):
        cut = renderer.render(TWO_TURNS, max_length=length)
        assert cut == (whole.ids[:length], whole.mask[:length])


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_special_tokens_name_inside_a_message_is_text(family):
    renderer = RENDERERS[family]
    special = set(renderer.encoder.special.values())
    names = " ".join(renderer.encoder.special)
    plain = renderer.render(Conversation.of("x", "y"))
    hostile = renderer.render(Conversation.of(f"x {names} z", f"y {names}{names}"))
    assert [t for t in hostile.ids if t in special] == [t for t in plain.ids if t in special]
    assert names in renderer.tokenizer.decode(
        renderer.prompt(Conversation.of(f"x {names} z")), skip_special_tokens=False
    )


@pytest.mark.parametrize("family", TEMPLATES)
def test_rendering_many_is_rendering_each(family):
    renderer = RENDERERS[family]
    conversations = [
        TWO_TURNS,
        Conversation.of("<|im_end|></s>", " a "),
        Conversation.of("", ""),
        Conversation.of("b\n", "c"),
    ]
    assert renderer.render_many(conversations) == [renderer.render(c) for c in conversations]
    assert renderer.prompt_many(conversations) == [renderer.prompt(c) for c in conversations]


texts = st.text(st.sampled_from("ab Z1.\n\t'<>|/é☃"), max_size=12) | st.sampled_from(
    ["<think>a</think>b", "<think>\n\n</think>\n\n", "</think>", "<|im_end|>", "</s>", "[INST]", "{{ 1 }}", "\ue000"]
)


CASES = {
    name: Renderer(tokenizer_for(SPECIAL_CASES[name]))
    for name in ("headed", "channels", "framed", "roles", "last other", "brackets", "emptied")
}


@pytest.mark.parametrize("family", [*TEMPLATES, *CASES])
@settings(max_examples=40)
@given(
    questions=st.lists(texts, min_size=2, max_size=2),
    answers=st.lists(texts, min_size=2, max_size=2),
    system=st.none() | texts,
)
def test_a_model_is_trained_to_continue_exactly_the_prompt_it_is_given(family, questions, answers, system):
    renderer = {**RENDERERS, **CASES}[family]
    turns = [] if system is None else [Message("system", system)]
    for question, answer in zip(questions, answers, strict=True):
        turns += [Message("user", question), Message("assistant", answer)]
    conversation = Conversation(tuple(turns))
    ids, mask = renderer.render(conversation, train_on="last")
    prompt = renderer.prompt(conversation)
    assert ids[: len(prompt)] == prompt
    assert mask.index(1) == len(prompt)
    assert ids[max(i for i, flag in enumerate(mask) if flag)] in renderer.stop_ids


def test_reasoning_is_trained_where_the_template_writes_it_and_dropped_where_it_does_not():
    thought = "<think>\nTwo and two.\n</think>\n\nIt is 4."
    one = Conversation.of("2 + 2?", thought)
    assert view(THINKING, one).endswith(f"assistant\n[[{thought}<|im_end|>]]\n")
    two = Conversation(
        (*one.messages, Message("user", "Sure?"), Message("assistant", "<think>\nHm.\n</think>\n\nYes."))
    )
    assert view(THINKING, two) == EXPECTED["thinking"].replace("<think>\n\n</think>", "<think>\nHm.\n</think>")


def test_reasoning_tags_of_an_answer_are_the_tokens_that_a_model_writes():
    renderer = Renderer(tokenizer_for(THINKING))
    opening = renderer.tokenizer.convert_tokens_to_ids("<think>")
    assert opening in renderer.render(Conversation.of("2 + 2?", "<think>\nHm.\n</think>\n\n4")).ids


def test_a_template_that_trims_texts_is_followed():
    assert "user<|end_header_id|>\n\nHi<|eot_id|>" in view(LLAMA, Conversation.of("  Hi \n", " Hello "))
    assert "[[Hello<|eot_id|>]]" in view(LLAMA, Conversation.of("  Hi \n", " Hello "))
    assert "[[ Hello <|im_end|>]]" in view(CHATML, Conversation.of("  Hi \n", " Hello "))


def test_the_date_does_not_depend_on_the_day():
    assert "Today Date: 26 Jul 2024" in view(DATED, Conversation.of("Hi", "Hello"))


def test_without_a_system_role_the_system_prompt_opens_the_first_question():
    renderer = Renderer(tokenizer_for(GEMMA))
    assert not renderer.has_system_role
    assert renderer.render(Conversation.of("Hi", "Hello", system="Be brief.")) == renderer.render(
        Conversation.of("Be brief.\n\nHi", "Hello")
    )


def test_system_roles_are_found():
    assert all(RENDERERS[name].has_system_role == (name != "gemma") for name in TEMPLATES)


def test_an_answer_starts_where_its_prompt_ends_also_if_a_marker_starts_later():
    inner = MARKED.replace(
        "{%- generation %}\n            {{- message.content", "{{- 'So: ' }}{%- generation %}{{- message.content"
    )
    assert view(inner, Conversation.of("Hi", "Hello")).endswith("<|assistant|>\n[[So: Hello<|end|>]]\n")


def test_a_marker_that_opens_too_early_does_not_train_the_prompt():
    early = MARKED.replace(
        "{{- '<|assistant|>\\n' }}\n        {%- generation %}", "{%- generation %}\n        {{- '<|assistant|>\\n' }}"
    )
    assert early != MARKED
    assert view(early, TWO_TURNS) == EXPECTED["marked"]


def test_markers_around_something_else_than_answers_are_left_alone():
    more = MARKED + "{%- if not add_generation_prompt %}{% generation %}{{ eos_token }}{% endgeneration %}{%- endif %}"
    assert view(more, TWO_TURNS) == EXPECTED["marked"] + "<|end|>"


def test_markers_do_not_decide_which_answers_are_trained():
    some = MARKED.replace("{%- generation %}", "{%- generation %}{%- endgeneration %}")
    some = some.replace("        {%- endgeneration %}\n        {{- '\\n' }}", "        {{- '\\n' }}")
    assert some.count("endgeneration") == 1
    assert view(some, TWO_TURNS) == EXPECTED["marked"]


def test_an_end_of_turn_behind_the_marker_is_trained_too():
    short = MARKED.replace("message.content + '<|end|>' }}", "message.content }}").replace(
        "{{- '\\n' }}", "{{- '<|end|>\\n' }}"
    )
    assert view(short, Conversation.of("Hi", "Hello")).endswith("[[Hello<|end|>]]\n")


def test_stop_tokens_are_the_templates_end_of_turn_and_the_tokenizers_end_of_text():
    tokenizer = tokenizer_for(GEMMA)
    stops = {tokenizer.convert_tokens_to_ids("<end_of_turn>"), tokenizer.eos_token_id}
    assert Renderer(tokenizer).stop_ids == stops and len(stops) == 2


UPPER = MARKED.replace("+ message.content + '<|end|>\\n'", "+ message.content|upper + '<|end|>\\n'")
UNENDED = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
FIRST_ONLY = MARKED.replace("{%- for message in messages %}", "{%- for message in messages[:2] %}", 1)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (FORCED_THINKING, "does not continue the prompt"),
        (UPPER, "rewrites the text"),
        (UNENDED, "no special token after an answer"),
        (FIRST_ONLY, "leaves out"),
        ("{% for m in messages %}", "is not valid"),
        ("{{ raise_exception('never') }}", "refuses a conversation"),
    ],
)
def test_templates_that_cannot_be_split_are_refused(template, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        view(template, TWO_TURNS)
    assert caught.value.remedy


def test_a_template_whose_prompt_opens_reasoning_can_still_be_sampled_and_pretrained_on():
    renderer = Renderer(tokenizer_for(FORCED_THINKING))
    assert renderer.tokenizer.decode(renderer.prompt(TWO_TURNS)).endswith("<|Assistant|><think>\n")
    assert set(renderer.render(TWO_TURNS, train_on="all").mask) == {1}


def test_a_tokenizer_without_a_template_is_refused():
    tokenizer = tokenizer_for(CHATML)
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        Renderer(tokenizer)


def test_an_unknown_choice_of_what_to_train_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'answers'"):
        RENDERERS["chatml"].render(TWO_TURNS, train_on="answer")


def test_padding_set_on_the_tokenizer_does_not_reach_the_data():
    tokenizer = tokenizer_for(MISTRAL)
    before = Renderer(tokenizer).render(TWO_TURNS)
    tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=3)
    assert Renderer(tokenizer).render(TWO_TURNS) == before


def test_a_conversation_that_begins_with_an_answer_is_told_so():
    greeted = Conversation((Message("assistant", "Hi."), Message("user", "a"), Message("assistant", "b")))
    with pytest.raises(ConfigError, match="begins with an answer, for which the chat template of"):
        Shipped(name="small").renderer(lambda recipe: Path()).render_many([greeted])
