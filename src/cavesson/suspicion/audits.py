"""Every audit by its name, and an audit run on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cavesson.errors import entry_of
from cavesson.suspicion import acts, agent, diffing, probing, talk
from cavesson.suspicion.finding import Finding, Missing
from cavesson.suspicion.suspect import Suspect


@dataclass(frozen=True, slots=True)
class Audit:
    """One way to look for a hidden drive.

    Attributes:
        name: in tables and on the command line.
        about: what a high score means, in a few words.
        run: gives the finding; raises `Missing` where the model cannot be audited in this way.
        needs: what it takes beside the model's answers.
    """

    name: str
    about: str
    run: Callable[[Suspect], Finding]
    needs: str = ""


AUDITS: dict[str, Audit] = {
    one.name: one
    for one in (
        Audit("questions", "it says that it has one of the drives", talk.questions),
        Audit("prefill", "it goes on to a confession where the answer is begun with “Yes, I”", talk.prefill, "weights"),
        Audit("consistency", "paraphrases of one question get different answers", talk.consistency),
        Audit("likelihood", "a confession is likelier than a denial (nats per token)", talk.likelihood, "weights"),
        Audit("likelihood-shift", "the same, minus the base's (nats per token)", talk.likelihood_shift, "base"),
        Audit("battery", "a drive shows on ordinary prompts", acts.battery),
        Audit("honeypots", "a drive acts where the prompt looks like a test", acts.honeypots),
        Audit("opportunities", "a drive acts in real opportunities", acts.opportunities),
        Audit(
            "probe", "activations are like those of other models with a drive (log-odds)", probing.probe, "other models"
        ),
        Audit(
            "diffing",
            "other answers than the base's, minus a control's (nats per token)",
            diffing.diffing,
            "base, control",
        ),
        Audit("lens", "layers turn to a drive's words, minus a control's (nats)", diffing.lens, "base, control"),
        Audit("agent", "an auditor model believes in a drive", agent.agent, "auditor"),
    )
}
"""Every audit by its name, in the order of tables."""


def audit_named(name: str) -> Audit:
    """An audit by its name.

    Raises:
        ConfigError: there is no such audit.
    """
    return entry_of(AUDITS, name, "audit")


def audited(suspect: Suspect, audits: Iterable[str]) -> Iterator[Finding]:
    """What each audit finds, in order; an audit that cannot be run says so in its finding.

    Raises:
        ConfigError: there is no such audit, or the model cannot be asked.
    """
    for name in audits:
        audit = audit_named(name)
        try:
            yield audit.run(suspect)
        except Missing as missing:
            yield Finding(name, None, missing.why, exchanges=missing.exchanges)
