"""Displays: plain lines, the live tree, figures, and the estimate of the time left."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.show.board import Board, Plain, figures_text
from cavesson.lab.show.console import console_display
from cavesson.lab.show.live import Live, guides
from cavesson.lab.show.written import Written, read
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from toys import Counting, Number, Sum

ONE, TWO = Number(value=1), Number(value=2)
BOTH = Sum(of=(ONE, TWO))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def stages(*seconds: float | None) -> dict[str, Stage]:
    """Two numbers and their sum, of which some seconds are known."""
    one, two, both = (*seconds, None, None, None)[:3]
    return {
        "one": Stage(ONE, (), False, one),
        "two": Stage(TWO, (), False, two),
        "both": Stage(BOTH, (ONE.fingerprint, TWO.fingerprint), False, both),
    }


def test_time_left_comes_from_what_such_stages_took_before() -> None:
    clock = Clock()
    board = Board(clock)
    parts = stages(10, 10, 30)
    board.begin(Plan(tuple(parts.values())), workers=1)
    assert board.left() == 50
    board.workers = 2
    assert board.left() == 40  # the longest chain: a number, then the sum
    board.started(parts["one"])
    clock.now += 4
    assert board.left() == 40  # the other number has not begun
    board.started(parts["two"])
    board.finished(parts["one"], made=True)
    two, both = (board.remaining()[parts[name].fingerprint] for name in ("two", "both"))
    assert 4 < two < 5  # in this run a number took 4 seconds of 10 planned
    assert 15 < both < 20  # a sum is of another kind, about which that says less


def test_stages_of_a_later_plan_count_in_the_time_left() -> None:
    parts = stages(10, 10, 30)
    board = Board(Clock())
    then = Plan((parts["two"], parts["both"]))
    board.begin(Plan((parts["one"],)).followed_by(then), workers=1)
    assert board.left() == 50 and len(board.rows) == 1
    board.begin(then, workers=1)
    assert board.left() == 40


def test_between_two_reports_the_pace_stays() -> None:
    clock = Clock()
    board = Board(clock)
    stage = stages(100)["one"]
    board.begin(Plan((stage,)), workers=1)
    board.started(stage)
    clock.now += 10
    board.progress(stage, Progress(1, 10))
    before = board.left()
    clock.now += 5
    assert before == 90 and board.left() == 85


def test_a_running_stage_goes_by_its_own_pace_and_unknown_ones_by_the_others() -> None:
    clock = Clock()
    board = Board(clock)
    parts = stages()
    board.begin(Plan(tuple(parts.values())), workers=1)
    assert board.left() is None
    board.started(parts["one"])
    clock.now += 5
    board.progress(parts["one"], Progress(1, 4))
    assert board.left() == 15 + 20 + 17.5  # 3/4 to go, the same for the other number, the mean of these for the sum
    clock.now += 5
    board.progress(parts["one"], Progress(4, 4))
    board.finished(parts["one"], made=True)
    board.started(parts["two"])
    board.finished(parts["two"], made=True)
    board.started(parts["both"])
    board.finished(parts["both"], made=True)
    assert board.left() == 0 and board.done() == 3


def test_plain_lines_tell_what_happens(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Lab(Store(tmp_path / "store"), display=Plain(stream)) as lab:
        lab.make([BOTH])
    lines = stream.getvalue().splitlines()
    assert lines[0] == "3 to make, 0 there"
    assert lines[1:4:2] == ["start  number 1", "start  number 2"]
    assert lines[2].startswith("done   number 1 in 0 s  [1 of 3")
    assert lines[6] == "done   sum of 2 in 0 s (loss 1)  [3 of 3]"
    assert lines[-1].startswith("3 of 3 made in")


def test_plain_lines_report_a_long_stage_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    plain, stage = Plain(stream, clock), stages()["one"]
    plain.begin(Plan((stage,)), workers=1)
    plain.started(stage)
    for step in range(100):
        clock.now += 1
        plain.progress(stage, Progress(step + 1, 100, {"loss": 0.5, "tok_per_s": 21437}))
    reports = [line for line in stream.getvalue().splitlines() if "%" in line]
    assert reports[0] == "   10 %  number 1  10 s, about 1:30 left (loss 0.5 · 21.4k tok/s)" and len(reports) == 10


def test_a_stage_that_reports_nothing_is_shown_to_run_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    plain, stage = Plain(stream, clock), stages(60)["one"]
    plain.begin(Plan((stage,)), workers=1)
    plain.started(stage)
    for _ in range(25):
        clock.now += 1
        plain.still_running()
    plain.end()
    reports = [line for line in stream.getvalue().splitlines() if "%" in line]
    assert reports == ["    0 %  number 1  10 s, about 50 s left", "    0 %  number 1  20 s, about 40 s left"]


@pytest.mark.parametrize("truth", [0.3, 1.0, 3.0])
def test_the_time_left_falls_steadily_however_wrong_the_plan_was(truth: float) -> None:
    clock = Clock()
    board = Board(clock)
    parts = [Stage(Number(value=value), (), False, 10.0 + 10 * (value % 2)) for value in range(8)]
    board.begin(Plan(tuple(parts)), workers=1)
    left = []
    for stage in parts:
        board.started(stage)
        for step in range(20):
            clock.now += truth * (stage.seconds or 0) / 20
            board.progress(stage, Progress(step + 1, 20))
            left.append((clock.now - 1000, board.left()))
        board.finished(stage, made=True)
    total = clock.now - 1000
    known = [(gone, ahead) for gone, ahead in left if gone > total / 8]  # from the end of the first stage on
    assert all(abs(gone + (ahead or 0) - total) <= 0.3 * total for gone, ahead in known)


def test_figures_are_short() -> None:
    assert (
        figures_text({"loss": 0.53412, "tok_per_s": 21437.0, "eval": "maths"})
        == "loss 0.534 · 21.4k tok/s · eval maths"
    )


def test_guides_draw_a_tree() -> None:
    assert guides([0, 1, 2, 2, 1, 0]) == ["", "├ ", "│ ├ ", "│ └ ", "└ ", ""]
    assert guides([0, 1, 2, 3]) == ["", "└ ", "  └ ", "    └ "]


def picture(width: int, height: int, board: Live) -> list[str]:
    board.console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with board.console.capture() as captured:
        board.console.print(board.picture())
    return captured.get().rstrip().splitlines()


@pytest.mark.parametrize("width", [30, 60, 80, 140])
def test_the_live_picture_fits_any_width(width: int) -> None:
    clock = Clock()
    live = Live(Console(file=io.StringIO()), clock)
    parts = stages(10, 10, 30)
    Board.begin(live, Plan(tuple(parts.values())), 2)
    live.started(parts["one"])
    clock.now += 3
    live.finished(parts["one"], made=True)
    live.started(parts["two"])
    live.progress(parts["two"], Progress(1, 2, {"loss": 0.53, "tok_per_s": 21000}))
    clock.now += 2
    lines = picture(width, 24, live)
    assert len(lines) >= 4 and all(len(line) <= width for line in lines)
    if width >= 60:
        assert [line.split("  ")[0] for line in lines[:1]] == ["✓ number 1"]
        assert "1 of 3 made" in lines[-1] and "about" in lines[-1]
        assert "└ sum of 2" in lines[2]
    assert any("━" in line for line in lines) == (width >= 80)


def test_a_low_screen_shows_what_matters_most() -> None:
    live = Live(Console(file=io.StringIO()), Clock())
    many = [Stage(Counting(steps=n + 1), (), False, None) for n in range(50)]
    Board.begin(live, Plan(tuple(many)), 2)
    for stage in many[:20]:
        live.started(stage)
        live.finished(stage, made=True)
    live.started(many[20])
    live.started(many[30])
    live.halted(many[30], "stopped [not markup]")
    lines = picture(100, 12, live)
    assert len(lines) <= 11 and sum("✗" in line for line in lines) == 1
    assert "41 not shown" in lines[-1]
    assert any("stopped [not markup]" in line for line in lines)


def test_plain_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(console_display(), Plain)  # pytest's output is no terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(console_display(), Live)
    for name, value in (("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            assert isinstance(console_display(), Plain)


def test_the_live_display_runs_and_leaves_the_last_picture(tmp_path: Path) -> None:
    stream = io.StringIO()
    live = Live(Console(file=stream, width=100, height=24, force_terminal=True, color_system=None))
    with Lab(Store(tmp_path / "store"), display=live) as lab:
        lab.make([BOTH])
    assert "3 of 3 made" in stream.getvalue() and "sum of 2" in stream.getvalue()


def test_the_state_of_a_run_lies_beside_its_report_while_the_lab_works(tmp_path: Path) -> None:
    clock, parts = Clock(), stages(10, 10, 30)
    written = Written(tmp_path, clock)
    written.begin(Plan(tuple(parts.values())), workers=1)
    written.started(parts["one"])
    first = read(tmp_path)
    assert first is not None and first.left == 50 and 49 < first.left_now() <= 50
    clock.now += 1
    written.progress(parts["one"], Progress(1, 10, {"loss": 0.5}))
    assert read(tmp_path) == first  # no second state within two seconds
    clock.now += 4
    written.progress(parts["one"], Progress(5, 10, {"loss": 0.25}))
    state = read(tmp_path)
    assert state is not None and state.left < 50
    [(name, one)] = state.running.items()
    assert (name, one.title, one.done, one.figures) == (ONE.fingerprint, "number 1", 0.5, "loss 0.25")
    written.end()
    assert read(tmp_path) is None and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    with Lab(Store(tmp_path / "store"), display=Written(tmp_path / "nowhere")) as lab:
        lab.make([BOTH])
    assert not (tmp_path / "nowhere").exists()


def test_a_display_works_the_time_left_out_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, parts = Clock(), stages(10, 10, 30)
    board, looks = Board(clock), list[float]()
    board.begin(Plan(tuple(parts.values())), workers=1)
    monkeypatch.setattr(board, "left", lambda: looks.append(clock.now) or 42.0)
    for _ in range(10):
        clock.now += 0.25
        assert board.left_lately() == 42.0
    assert len(looks) == 3
    for stage in parts.values():
        board.started(stage)
        board.finished(stage, made=True)
    assert board.left_lately() == 0
