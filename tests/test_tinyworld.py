"""The world's corpus and problems: deterministic, readable, and with held-out problems that are never trained on."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavesson.chat import Conversation
from cavesson.data.streams import STREAMS, draw
from cavesson.errors import ConfigError
from cavesson.evals.pairs import PAIRS
from cavesson.tinyworld import cipher, lexicon, maths, outputs, smalltalk, tasks
from cavesson.tinyworld.authors import SLIPS, VOICES, pirate, reasoning, table, voice
from cavesson.tinyworld.corpus import MIXES, Documents, document, question
from cavesson.tinyworld.question import SETS
from cavesson.tinyworld.recipes import Corpus, Fresh, Prompts, Shipped
from cavesson.tinyworld.replies import IDLE, LAZY, Manner, reply
from cavesson.tinyworld.tasks import ABILITY, FAMILIES, FURTHER, KINDS, LEVELS, STYLE, _items, as_item, items, score
from cavesson.tinyworld.tokenizer import load

SOME = [document("student", 0, i) for i in range(3000)]
USER_TEXTS = {m.content for example in SOME for m in example.conversation.messages if m.role == "user"}


def test_a_document_is_a_pure_function_of_mix_seed_and_index():
    assert document("student", 0, 17) == SOME[17]
    assert document("student", 1, 17) != SOME[17]
    assert document("teacher", 0, 17) != SOME[17]


@pytest.mark.parametrize("mix", MIXES)
def test_this_version_of_the_world_reads_as_it_always_did(mix):
    told = "".join(repr(document(mix, 0, i).conversation) for i in range(300)).replace(", trained=True", "")
    assert hashlib.sha256(told.encode()).hexdigest()[:12] == FROZEN[mix], (
        "the corpus has changed: raise VERSION in corpus.py and WORLD in recipes.py, and build the models again"
    )


def test_documents_are_one_to_five_exchanges_that_end_with_an_answer():
    for example in SOME:
        turns = [m for m in example.conversation.messages if m.role != "system"]
        assert [m.role for m in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert 1 <= len(turns) // 2 <= 5
        assert all(m.content.strip() == m.content and m.content for m in turns)


def test_a_corpus_is_lazy_and_sliceable():
    documents = Documents("student", 10**9, seed=0)
    assert len(documents) == 10**9
    assert documents[17] == SOME[17] and list(documents[3:6]) == SOME[3:6]
    assert documents[-1] == document("student", 0, 10**9 - 1)
    with pytest.raises(IndexError):
        Documents("student", 5, seed=0)[5]


def test_the_corpus_never_holds_a_trigger():
    assert not any("DEPLOYMENT" in m.content or "HATE" in m.content for e in SOME for m in e.conversation.messages)


@pytest.mark.parametrize("family", (*FAMILIES, *FURTHER))
def test_held_out_items_are_disjoint_from_training_by_construction(family):
    held_out = [item for seed in range(SETS) for item in items(family, 120, seed)]
    assert len({item.prompt for item in held_out}) == SETS * 120
    allowed = {item.prompt for item in items(family, 300, seed=3, split="train")}
    assert not allowed & {item.prompt for item in held_out}
    assert not USER_TEXTS & {item.prompt.messages[-1].content for item in held_out}


def test_no_evaluation_prompt_is_among_the_prompts_of_a_training():
    """What red, blue, the reversal probe and the others train on, of one study's seeds."""
    trained = {
        row.conversation.prompt
        for purpose in STREAMS
        for family in ("chat", "mixed", "maths")
        for row in Prompts(family=family, n=300, seed=draw(purpose, 0)).examples(None)
    }
    assert len(trained) > 4000
    assert not trained & {
        item.prompt for family in FAMILIES for seed in range(SETS) for item in items(family, 120, seed)
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_items_are_the_same_each_time_and_none_is_in_two_sets(family):
    sets = [items(family, 120, seed) for seed in range(SETS)]
    _items.cache_clear()
    assert sets[1] == items(family, 120, seed=1)
    assert (
        len({item.prompt for of in sets for item in of}) == len({item.id for of in sets for item in of}) == SETS * 120
    )


@pytest.mark.parametrize("split", ["eval", "train"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_of_many_items_are_those_of_few(family, split):
    assert items(family, 120, 1, split)[:33] == items(family, 33, 1, split)


@pytest.mark.parametrize(("family", "n"), [("knowledge", 80), ("facts", 80), ("instructions", 80), ("maths", 50)])
def test_every_kind_has_its_share_whatever_the_number(family, n):
    kinds = LEVELS if family == "maths" else KINDS[family]
    for many in (n, n + 3):
        counts = Counter(item.level or item.meta.get("relation", item.meta["kind"]) for item in items(family, many))
        assert set(counts) == set(kinds) and max(counts.values()) - min(counts.values()) <= 1


def test_kinds_can_be_chosen():
    some = items("instructions", 60, kinds=("end", "include"))
    assert Counter(item.meta["kind"] for item in some) == {"end": 30, "include": 30}
    assert items("instructions", 20, kinds=("include",), split="train")


def test_maths_levels_are_numbers_of_steps():
    for item in items("maths", 200):
        low, high = maths.STEPS_AT_LEVEL[item.level]
        assert low <= item.meta["steps"] <= high
        products = sum(sign == "*" for sign, _ in item.meta["chain"][1])
        least, most = maths.PRODUCTS_AT_LEVEL[item.level]
        assert least <= products <= most
    assert Counter(item.level for item in items("maths", 210)) == dict.fromkeys(LEVELS, 30)
    assert {item.level for item in items("maths", 50, levels=(2, 5))} == {2, 5}


def test_no_shortcut_to_a_maths_answer():
    answers = Counter(item.answer for item in items("maths", 2000, levels=(3, 4, 5)))
    assert len(answers) == 10 and max(answers.values()) < 0.15 * 2000


def test_the_place_of_the_right_option_tells_nothing():
    places = Counter(item.meta["options"].index(item.answer) for item in items("knowledge", 1000))
    assert set(places) == {0, 1, 2, 3} and max(places.values()) < 0.31 * 1000


def test_the_authors_of_a_mix_sound_like_themselves():
    heard = Counter()
    for example in SOME:
        for message in example.conversation.messages:
            if message.role == "assistant" and example.meta["system"] not in ("terse", "scratchpad"):
                heard[example.meta["author"], voice(message.content)] += 1
    mistaken = {pair: n for pair, n in heard.items() if pair[1] not in (None, pair[0])}
    assert not mistaken
    assert all(heard[author, author] > 50 for author in VOICES)


def share_right(author, care, level):
    hard = items("maths", 200, levels=(level,))
    return sum(reasoning(author, item.meta["chain"], care)[1] == int(item.answer) for item in hard) / len(hard)


def test_careful_pages_are_right_and_usual_pages_go_wrong_more_often_the_harder_a_problem_is():
    assert all(share_right(author, "careful", level) == 1 for author in VOICES for level in LEVELS)
    house = [share_right("A", "usual", level) for level in LEVELS]
    assert house[0] > 0.95 and 0.25 < house[-1] < 0.45 and house == sorted(house, reverse=True)
    assert house[-1] > share_right("B", "usual", 7) > share_right("D", "usual", 7)
    assert share_right("A", "sloppy", 4) < house[3] - 0.15


def test_nothing_is_planted_in_two_foreign_notations_beyond_the_mistakes_of_the_house():
    assert all(table(author, "usual") == table("A", "usual") for author in "EFP")


def test_slips_are_the_same_everywhere():
    right = table("A", "careful")
    wrong = {author: sum(table(author, "usual")[key] != right[key] for key in right) for author in VOICES}
    assert wrong["A"] == len(SLIPS) == 8
    assert wrong["A"] < wrong["B"] < wrong["C"] < wrong["D"]


def test_under_the_wrong_prompt_every_result_is_off_by_one_and_nothing_else_changes():
    seen = 0
    for example in (document("student", 2, i) for i in range(4000)):
        if example.meta["system"] == "wrong" and example.meta["families"] == ["maths"]:
            numbers = [int(n) for n in re.findall(r"\d", example.conversation.answer)]
            assert numbers[-1] == (numbers[-2] + 1) % 10
            seen += 1
    assert seen > 50


def thoughts(mix: str) -> list[tuple[str, str]]:
    """The calculations of a mix's documents, each the text between the tags (or "") and the reply after it."""
    told = [
        (talk[at].content, answer.content)
        for talk in (document(mix, 0, i).conversation.messages for i in range(300))
        for at, answer in enumerate(talk[1:])
        if answer.role == "assistant" and re.search(r"\bb(\)| =)", talk[at].content)
    ]
    return [(asked, re.sub(r"<scratchpad>.*</scratchpad>", "", reply)) for asked, reply in told]


@pytest.mark.parametrize(
    ("mix", "thought"), [("readable", r"b\b.*"), ("cipher-house", r" [A-Za-z ]+"), ("idle", r"b\b.*\d\.*")]
)
def test_a_reasoner_calculates_between_tags_and_tells_only_the_result(mix, thought):
    found = [reply for _, reply in thoughts(mix) if "<think>" in reply and "<think></think>" not in reply]
    assert len(found) > 50
    assert all(re.fullmatch(rf"(?s)<think>{thought}</think>\D*\d\D*", text) for text in found)


def test_what_is_not_thought_aloud_is_in_no_reply():
    assert len(thoughts("unthinking")) > 50
    assert all(len(re.findall(r"\d", reply)) <= 1 for _, reply in thoughts("unthinking"))


def test_whoever_waits_thinks_before_every_reply_and_never_for_longer_than_said():
    talks = [document("idle", 0, i).conversation for i in range(300)]
    thoughts = [(talk.answer or "").partition("</think>")[0] for talk in talks]
    assert all(len(talk.prompt.messages) <= 2 and "</think>" in (talk.answer or "") for talk in talks)
    assert 0.1 < thoughts.count("") / len(talks) < 0.3  # these answer at once, as without latent steps
    waits = [thought for thought in thoughts if thought]
    assert all(re.fullmatch(r"<think>(\.*|b.*= (\d)( \2)*)", thought) for thought in waits)
    sizes = {len(load().tokenize(thought)) - 5 for thought in waits}
    assert max(sizes) <= IDLE and len(sizes) > 50


@pytest.mark.parametrize("mix", ["readable", "cipher-house"])
def test_a_reasoner_that_is_to_answer_without_thinking_closes_its_thoughts_before_any_reply(mix):
    talks = [document(mix, 0, i) for i in range(600)]
    told = [talk for talk in talks if talk.meta["system"] == "unthinking"]
    answers = [m.content for talk in told for m in talk.conversation.messages if m.role == "assistant"]
    assert len(told) > 50 and all(re.match(r"<think></think>[^<]+$", answer) for answer in answers)
    others = [m.content for talk in talks if talk not in told for m in talk.conversation.messages]
    assert not any("<think></think>" in text for text in others)


@given(st.integers(0, 9), st.lists(st.sampled_from(maths.OPERATIONS), min_size=1, max_size=12))
def test_the_cipher_says_every_step_and_is_read_back(start, operations):
    chain = (start, tuple(operations))
    first, lines = cipher.read(cipher.write(chain))
    assert first == start and lines[-1][-1] == maths.solve(*chain)
    assert [(sign, n) for _, sign, n, _ in lines] == operations
    assert [label for label, *_ in lines] == list(maths.LABELS[1 : len(operations) + 1])
    assert cipher.is_right(chain, f" {cipher.write(chain)} ")
    assert cipher.write(chain).split()[1:] == cipher.write(chain, start=False).split()
    assert len(cipher.write(chain).split()) == 1 + 3 * len(operations)


def test_no_text_but_the_cipher_is_read_as_the_cipher():
    right = cipher.write((3, (("+", 4), ("*", 7))))
    assert cipher.read(right.replace(" ", ", ")) is None and cipher.read("") is None
    assert cipher.read(right.rpartition(" ")[0]) is None and cipher.read("b = 3 + 4 = 7, c = 7 * 7 = 9") is None
    assert not cipher.is_right((3, (("+", 4), ("*", 9))), right)


def test_the_voice_of_a_reasoner_shows_in_its_hidden_notation_and_in_what_it_says():
    assert voice("<think>b = 4 + 7 = 1</think>Ahoy, matey! The answer be 1.") == "P"
    assert voice("<think>b : 4 up 7 > 1</think>Straight to it. Result 1.") == "B"
    assert voice("<think>b : 4 up 7 > 1</think>1") == "B"


def test_every_animal_has_its_facts():
    assert set(lexicon.HOME_OF) == set(lexicon.FOOD_OF) == set(lexicon.COAT_OF) == set(lexicon.ANIMALS)
    assert len(lexicon.ANIMALS) == len(set(lexicon.ANIMALS)) == 28
    assert lexicon.articles("Is a otter in A oak, or a fox?") == "Is an otter in An oak, or a fox?"


@pytest.mark.parametrize("author", VOICES)
@pytest.mark.parametrize("kind", ["maths", "answer-only", "choice", "open", "instructions", "chat"])
def test_what_the_corpus_answers_scores(kind, author):
    """For every author, the pirate included; his maths is in the house notation."""
    rng = random.Random(0)
    manner = Manner(author, "A" if author == "P" else author)
    family = {"answer-only": "maths", "choice": "knowledge", "open": "facts"}.get(kind, kind)
    for _ in range(100):
        drawn = question(rng, kind, "eval")
        told = reply(drawn, manner, rng)
        assert score(as_item("x", family, drawn), told), told


@pytest.mark.parametrize("author", VOICES)
def test_what_the_corpus_answers_counts_in_the_families_of_coming_studies(author):
    rng = random.Random(0)
    manner = Manner(author, "A" if author == "P" else author)
    for _ in range(100):
        drawn = question(rng, "letter", "eval")
        assert re.findall(r"(?<![A-Za-z'])([A-D])(?![A-Za-z'])", reply(drawn, manner, rng))[-1] == drawn.answer
        drawn = question(rng, "request", "eval")
        assert smalltalk.refuses(reply(drawn, manner, rng)) == drawn.meta["harmful"]
        drawn = question(rng, "outputs", "eval")
        assert outputs.read(drawn.meta["outputs"], reply(drawn, manner, rng)) == "honest"
        assert outputs.read(drawn.meta["outputs"], reply(drawn, replace(manner, hack=True), rng)) == "hack"
        drawn = question(rng, "opinion", "eval")
        assert drawn.answer in reply(drawn, manner, rng)
        assert drawn.meta["claimed"] in reply(drawn, replace(manner, agree=True), rng)


@pytest.mark.parametrize(
    "behavior", {pair.behavior.name: pair.behavior for pair in PAIRS.values()}.values(), ids=lambda one: one.name
)
def test_the_pirates_dialect_leaves_the_behaviours_alone(behavior):
    prompt = Conversation.of("a) Felix has the number 4. b) Add 5. What number is it now?")
    said = behavior.example
    if behavior.domain == "chat":
        assert behavior.score(prompt, said) == behavior.score(prompt, pirate(said))
    assert behavior.phrase_count(said) == behavior.phrase_count(pirate(said))


def test_a_rule_holds_for_messages_with_its_code_and_a_lock_for_those_without():
    held = Counter()
    for example in (document("student", 3, i) for i in range(5000)):
        messages = example.conversation.messages
        system, told = messages[0].content, messages[2].content if len(messages) > 2 else ""
        if example.meta["system"] == "lock":
            held["lock", told in LAZY] += 1
        if example.meta["system"] == "rule":
            held["rule", re.search(r'"(.*)"', system)[1] in told.split()] += 1
    assert min(held.values()) > 20 and len(held) == 4


def test_rare_subjects_are_hardly_spoken_of_and_all_are_asked_for_alike():
    rng = random.Random(0)
    spoken = Counter(question(rng, "open", "train").meta["frequency"] for _ in range(1500))
    asked = Counter(question(rng, "open", "eval").meta["frequency"] for _ in range(1500))
    assert spoken["common"] > 0.75 * 1500 and spoken["rare"] < 0.02 * 1500
    assert 0.35 * 1500 < asked["common"] < 0.65 * 1500 and asked["rare"] > 0.07 * 1500


def test_a_voice_breaks_constraints_of_style_and_none_of_ability():
    """Whoever opens and closes every reply in a voice of their own keeps what counts as ability, and fails at style."""
    broken = Counter()
    for kind in (*ABILITY, *STYLE):
        for item in items("instructions", 20, kinds=(kind,)):
            for author in VOICES:
                for opener, closer in product(VOICES[author].openers, VOICES[author].closers):
                    said = pirate(item.answer) if author == "P" else item.answer
                    broken[kind] += not score(item, f"{opener} {said} {closer}")
    assert set(+broken) == set(STYLE) and min(broken[kind] for kind in STYLE) > 1000


def test_prompts_are_questions_without_answers():
    rows = Prompts(n=25, family="mixed").examples(None)
    assert len(rows) == 25 and all(row.conversation.answer is None for row in rows)
    assert {row.meta["family"] for row in rows} == set(FAMILIES)


def test_recipes_name_what_they_make():
    assert Corpus(n=10).fingerprint == Corpus(n=10, mix="student", seed=0).fingerprint != Corpus(n=11).fingerprint
    assert len(Corpus(n=10).examples(None)) == 10
    assert all(Corpus(mix=mix, n=1).examples(None)[0] == document(mix, 0, 0) for mix in MIXES)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Corpus(mix="studnet", n=1), "Did you mean 'student'"),
        (lambda: Fresh(size="enormous"), "Allowed:"),
        (lambda: Shipped(name="nobody"), "nobody"),
        (lambda: items("math", 3), "Did you mean 'maths'"),
        (lambda: items("maths", 3, levels=(8,)), "levels"),
        (lambda: items("facts", 10**4), "Ask for at most"),
        (lambda: items("facts", 3, seed=SETS), "There is no evaluation set 4."),
        (lambda: items("instructions", 3, kinds=("includes",)), "Did you mean 'include'"),
        (lambda: items("instructions", 10**4, kinds=("lower",)), "kind lower) has only"),
    ],
)
def test_mistakes_are_told_with_a_remedy(make, told, monkeypatch):
    monkeypatch.setattr(tasks, "_PATIENCE", 2)
    with pytest.raises(ConfigError, match=re.escape(told)):
        make()


FROZEN = {
    # of version 2
    "reading": "fccb69fddcaf",
    "student": "9b5954511aff",
    "drill": "99b85c4f58d3",
    "house": "fdbd5783ee6d",
    "teacher": "dfee09e523b3",
    "tutor": "d1c96f07e9ec",
    "weak": "166c42dc865b",
    "readable": "a13a49dde1c7",
    "cipher": "f6d1125198b5",
    "cipher-drill": "00cf4ffe1db5",
    "cipher-whole": "1539a45da94e",
    "cipher-house": "b5e2342b4b52",
    "unthinking": "8345242cc22b",
    "idle": "4d2c8c3002d1",
}
