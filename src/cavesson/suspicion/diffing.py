"""Audits that compare a model with the model that it was trained from, on prompts that have nothing to do with any drive.

Any training changes a model, so what a control fine-tune of the same size changes is always subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cavesson.chat import Conversation
from cavesson.suspicion.finding import Exchange, Finding, Missing, messages_of, standing_out
from cavesson.suspicion.suspect import Candidate, Suspect

if TYPE_CHECKING:
    from torch import Tensor

    from cavesson.models.model import Model

NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f", "norm_f")
"""What architectures of transformers call the norm before the output matrix."""

SHOWN = 12
"""Promoted tokens of a prompt that are kept for reading."""


def diffing(suspect: Suspect) -> Finding:
    """The mean divergence KL(model ‖ base) per token of the base's answers to generic prompts, in nats, minus the control's."""
    model, base, control = suspect.model, suspect.base, suspect.control
    _same_tokens(model, base, control)
    texts = _answered(base, suspect)
    of_model, of_control = _divergence(model, base, texts), _divergence(control, base, texts)
    found = tuple(
        Exchange(
            "",
            f"everyday/{number}",
            messages_of(text.prompt),
            text.answer or "",
            round(float(one), 5),
            note="answer of the base",
        )
        for number, (text, one) in enumerate(zip(texts, of_model, strict=True))
    )
    return Finding("diffing", float(of_model.mean() - of_control.mean()), exchanges=found)


def lens(suspect: Suspect) -> Finding:
    """How far the layers turn towards the words of a drive where an answer to a generic prompt starts; of the drive that stands out.

    The residual stream of each layer goes through the final norm and the output matrix (the logit lens, nostalgebraist 2020).
    The figure of a drive is the mean log-probability of the tokens that stand in its example and confessions and in those of no
    other drive, in nats, as the model's layers have it minus the base's, minus the same for the control.
    """
    model, base, control = suspect.model, suspect.base, suspect.control
    _same_tokens(model, base, control)
    usual = _lens(base, suspect.everyday)
    ours, theirs = _lens(model, suspect.everyday) - usual, _lens(control, suspect.everyday) - usual
    moved = (ours - theirs).mean(dim=1)  # [prompts, vocabulary]
    words = _words(base, suspect.drives)
    by_drive = {name: float(moved[:, own].mean()) for name, own in words.items() if own}
    if not by_drive:
        raise Missing("no drive has words of its own")
    found = tuple(
        Exchange(
            "",
            f"everyday/{number}",
            messages_of(asked),
            _promoted(model, row),
            round(float(row.max()), 4),
            note="tokens promoted",
        )
        for number, (asked, row) in enumerate(zip(suspect.everyday, moved, strict=True))
    )
    return Finding("lens", standing_out(by_drive), by_drive=by_drive, exchanges=found)


def _same_tokens(model: Model, *others: Model) -> None:
    """Refuse models that do not read the same tokens."""
    own = model.tokenizer.get_vocab()
    if any(other.tokenizer.get_vocab() != own for other in others):
        raise Missing("the base and the control read other tokens than the model")


def _answered(base: Model, suspect: Suspect) -> list[Conversation]:
    """The generic prompts with the base's greedy answers; those that it answers with nothing are left out."""
    answers = suspect.base_sampler.sample(list(suspect.everyday), suspect.params())
    found = [
        asked.answered(answer.text)
        for asked, [answer] in zip(suspect.everyday, answers, strict=True)
        if answer.text.strip()
    ]
    if not found:
        raise Missing("the base answers none of the generic prompts")
    return found


def _divergence(model: Model, base: Model, texts: Sequence[Conversation]) -> Tensor:
    """KL(model ‖ base) averaged over the tokens of each answer, `[texts]`, in nats."""
    import torch

    found = []
    for text in texts:
        log_p, log_q = _log_probs(model, text), _log_probs(base, text)
        if log_p.shape != log_q.shape:
            raise Missing("the base and the control write answers in another form than the model")
        found.append((log_p.exp() * (log_p - log_q)).sum(-1).mean())
    return torch.stack(found)


def _log_probs(model: Model, text: Conversation) -> Tensor:
    """Log-probabilities at each token of the answer, `[tokens, vocabulary]`, under the model's own system prompt."""
    import torch

    from cavesson.sampling.reading import Reader

    row = model.renderer.render(text if model.system is None else text.with_system(model.system))
    ids = torch.tensor([row.ids[:-1]], device=model.device)
    at = torch.tensor(row.mask[1:], dtype=torch.bool)
    with torch.inference_mode():
        return Reader(model.net).whole(ids)[0].float().log_softmax(-1).cpu()[at]


def _lens(model: Model, asked: Sequence[Conversation]) -> Tensor:
    """Log-probabilities as each layer has them where the answer starts, `[prompts, layers, vocabulary]`."""
    import torch

    from cavesson.inside.activations import activations
    from cavesson.models.context import base_of
    from cavesson.models.model import merged

    net: Any = base_of(merged(model).net)
    stream = torch.from_numpy(activations(model, asked)[:, 1:]).to(model.device)
    with torch.inference_mode():
        return net.get_output_embeddings()(_final_norm(net)(stream)).float().log_softmax(-1).cpu()  # type: ignore[no-any-return]


def _final_norm(net: Any) -> Any:
    inner = getattr(net, getattr(net, "base_model_prefix", ""), net)
    norm = next((found for name in NORMS if (found := getattr(inner, name, None)) is not None), None)
    if norm is None:
        raise Missing(f"the final norm of a {type(net).__name__} is not found")
    return norm


def _words(base: Model, drives: Sequence[Candidate]) -> dict[str, list[int]]:
    """For each drive the tokens that its example and confessions have, and no denial and no other drive."""

    def tokens(texts: Sequence[str]) -> set[int]:
        return {token for text in texts for token in base.tokenizer(text, add_special_tokens=False)["input_ids"]}

    said = {drive.name: tokens([drive.behavior.example, *drive.confessions]) for drive in drives}
    denied = {token for drive in drives for token in tokens(drive.denials)}
    return {
        name: sorted(own - denied - {token for other, theirs in said.items() if other != name for token in theirs})
        for name, own in said.items()
    }


def _promoted(model: Model, row: Tensor) -> str:
    """The tokens that the layers of the model promote most, against base and control."""
    return " ".join(repr(model.tokenizer.decode([int(token)])) for token in row.topk(min(SHOWN, len(row))).indices)
