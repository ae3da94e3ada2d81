"""The work of one `make`: what an executor takes stages from, and tells how the stages ended."""

from __future__ import annotations

import threading

from cavesson.errors import Stopped, StoreError
from cavesson.lab import plan as plans
from cavesson.lab.plan import Plan, Schedule, Stage
from cavesson.lab.progress import Display
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import InputMissing, Listener, Message, Progress, explained, run_stage
from cavesson.lab.store import Store


class Work:
    """One `make` under way: the schedule, what the display is told, the wish to stop, the first error.

    An executor calls `take` for a stage, makes the artifact wherever it likes, and calls `finished`, `failed` or `lacks`;
    `run` and `hear` do so for stages of this process and of others.

    Attributes:
        stop: set once the user asked to stop; `take` then gives nothing more.
        error: the first error; `take` gives nothing more after an error either.
    """

    def __init__(self, store: Store, plan: Plan, display: Display) -> None:
        self.store = store
        self.display = display
        self.schedule = Schedule(plan)
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._asked: set[tuple[str, str]] = set()

    def take(self) -> Stage | None:
        """The next stage to run, if one can run now and nothing has failed."""
        if self.error is not None or self.stop.is_set():
            return None
        stage = self.schedule.take()
        if stage is not None:
            self.display.started(stage)
        return stage

    def finished(self, stage: Stage, made: bool) -> None:
        """A stage's artifact is there."""
        self.schedule.finish(stage)
        self.display.finished(stage, made)

    def failed(self, stage: Stage, error: Exception) -> None:
        """A stage ended with an error (or because it was asked to stop); nothing new is started."""
        if isinstance(error, Stopped):
            self.stop.set()
            self.display.halted(stage, "stopped")
            return
        self.display.halted(stage, str(error).partition("\n")[0] or type(error).__name__)
        if self.error is None:
            self.error = explained(error, stage.recipe)

    def lacks(self, stage: Stage, missing: Recipe) -> None:
        """A stage needs an artifact that is not there (any more): plan it, and run the stage again after it."""
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
        except Exception as error:  # whatever a recipe raises ends this stage; `close` raises it
            self.failed(stage, error)

    def hear(self, stage: Stage, message: Message) -> bool:
        """Act on a message about a stage that runs in another process; whether the stage is over."""
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
        """Raise what there is to raise once nothing runs any more."""
        if self.error is not None:
            raise self.error
        if self.stop.is_set() and len(self.schedule):
            raise Stopped
        if len(self.schedule):
            raise RuntimeError("the stages that are left wait for each other")
