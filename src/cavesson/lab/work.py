"""The work of one `Lab.make`: it gives stages to an executor and takes note how the stages ended."""

from __future__ import annotations

import threading

from cavesson.errors import Stopped, StoreError
from cavesson.lab import plan as plans
from cavesson.lab.own import fault_of
from cavesson.lab.plan import Plan, Schedule, Stage
from cavesson.lab.progress import Display
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import InputMissing, Listener, Message, Progress, run_stage, with_stage_note
from cavesson.lab.store import Store


class Work:
    """One `Lab.make` under way: the schedule, the display, the user's wish to stop, the first error.

    An executor calls `take` for a stage, makes the artifact anywhere, and calls `finished`, `failed` or `lacks`.
    `run` makes these calls for a stage in this process, `receive` for a stage in another process.

    Attributes:
        stop: set once the user asked to stop; `take` then gives no further stage.
        error: the first error; after an error, `take` gives no further stage.
    """

    def __init__(self, store: Store, plan: Plan, display: Display) -> None:
        self.store = store
        self.display = display
        self.schedule = Schedule(plan)
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._asked: set[tuple[str, str]] = set()

    def take(self) -> Stage | None:
        """The next stage to run; None if no stage can run now, a stage has failed, or the user asked to stop."""
        if self.error is not None or self.stop.is_set():
            return None
        stage = self.schedule.take(self.store.is_being_made)
        if stage is not None:
            self.display.started(stage)
        return stage

    def finished(self, stage: Stage, made: bool) -> None:
        """Note that a stage's artifact is finished; `made`: this lab made the artifact, not another process."""
        self.schedule.finish(stage)
        self.display.finished(stage, made)

    def failed(self, stage: Stage, error: Exception) -> None:
        """Note that a stage ended with an error, or with `Stopped`; no further stage is started."""
        if isinstance(error, Stopped):
            self.stop.set()
            self.display.halted(stage, "stopped")
            return
        self.display.halted(stage, str(error).partition("\n")[0] or type(error).__name__)
        if self.error is None:
            self.error = with_stage_note(error, stage.recipe, stage.called)

    def lacks(self, stage: Stage, missing: Recipe) -> None:
        """Note that a stage needs an artifact that is missing: plan that artifact, then run the stage again."""
        if (asked := (stage.fingerprint, missing.fingerprint)) in self._asked:
            self.failed(stage, StoreError(f"The artifact {missing.describe()} was made again, and is damaged again."))
            return
        self._asked.add(asked)
        self.display.halted(stage, f"waits for {missing.describe()}")
        self.display.added(self.schedule.add(plans.plan(self.store, [missing])))
        self.schedule.put_back(stage, [missing.fingerprint])

    def run(self, stage: Stage) -> None:
        """Run a stage in this process and note how the stage ended."""
        listener = Listener(
            progress=lambda progress: self.display.progress(stage, progress),
            waiting=lambda holder: self.display.waiting(stage, holder),
            stopping=self.stop.is_set,
        )
        try:
            self.finished(stage, made=run_stage(self.store, stage.recipe, listener))
        except InputMissing as missing:
            self.lacks(stage, missing.recipe)
        except Exception as error:  # an exception of a recipe ends the stage; `close` raises the exception
            self.failed(stage, fault_of(error) or error)

    def receive(self, stage: Stage, message: Message) -> bool:
        """Act on a message about a stage that runs in another process; True if the stage is over."""
        match message:
            case ("progress", done, total, figures):
                self.display.progress(stage, Progress(done, total, figures))
                return False
            case ("waiting", holder):
                self.display.waiting(stage, holder)
                return False
            case ("done", made):
                self.finished(stage, made)
            case ("lacks", recipe):
                self.lacks(stage, Recipe.parse(recipe))
            case ("stopped",):
                self.failed(stage, Stopped())
            case ("error", error):
                self.failed(stage, error)
            case ("crash", text):
                self.failed(stage, RuntimeError(text))
        return True

    def close(self) -> None:
        """After the last stage: raise the first error, or `Stopped` if the user's wish to stop left stages undone."""
        if self.error is not None:
            raise self.error
        if self.stop.is_set() and len(self.schedule):
            raise Stopped
        if len(self.schedule):
            raise RuntimeError("the remaining stages wait for each other")
