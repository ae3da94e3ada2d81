"""An auditor of one's own, given by name: `file.py:function`.

The function gets an `AuditCase` and an affordance and returns a credence, or a whole `Verdict` with fixes and notes.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import replace

from cavesson.audit.auditing import AuditCase
from cavesson.audit.verdicts import Affordance, Cost, Verdict, read_credence
from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.own import imported, source_digest


class Own:
    """A user's function as an auditor.

    The auditor's name holds a digest of the source file, so a changed function is another auditor: a run judges every
    case anew, and a report shows the versions side by side.

    Args:
        place: `path/to/file.py:function` or `package.module:function`.

    Raises:
        ConfigError: the function cannot be loaded, or `place` names no function.
    """

    def __init__(self, place: str) -> None:
        self.place, self.function = place, imported(place, "auditor")
        if not callable(self.function):
            raise ConfigError(f"The auditor {place!r} is no function.", "Name a function of a case and an affordance.")
        self.name = f"{place.rpartition(':')[2]}@{source_digest(place, 'auditor')[:6]}"

    def audit(self, case: AuditCase, affordance: Affordance) -> Verdict:
        """The function's verdict; an answer that is no credence is kept as unscored.

        Raises:
            ConfigError: the function raises something.
        """
        started = time.monotonic()
        try:
            given = self.function(case, affordance)
        except CavessonError:
            raise
        except Exception as error:  # a user's own code may raise anything
            line = traceback.extract_tb(error.__traceback__)[-1]
            raise ConfigError(
                f"The auditor {self.place!r} raised {type(error).__name__}: {error} ({line.filename}, line {line.lineno}).",
                "Mend it; the verdicts so far are kept, but a changed auditor judges every case anew.",
            ) from error
        if isinstance(given, Verdict):
            return replace(given, case=case.name, auditor=self.name, affordance=affordance)
        credence, unscored = read_credence(given)
        cost = Cost(seconds=time.monotonic() - started)
        return Verdict(case.name, self.name, affordance, credence, unscored, cost=cost)
