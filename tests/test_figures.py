"""How numbers are written for people."""

from __future__ import annotations

import pytest

from cavesson.figures import bytes_text, clock_time, compact, duration, percent


def test_a_measured_share_is_rounded_and_a_chosen_one_is_not() -> None:
    assert [percent(share, 0) for share in (0.1251, 0.999, 0, 1)] == ["13 %", "100 %", "0 %", "100 %"]
    assert percent(2 / 3, 1) == "66.7 %"
    assert [percent(share) for share in (0.05, 0.125, 0.07, 1 - 0.001, 1)] == [
        "5 %",
        "12.5 %",
        "7 %",
        "99.9 %",
        "100 %",
    ]


def test_times_as_on_a_clock() -> None:
    assert [clock_time(s) for s in (0.4, 59, 60, 200, 3725)] == ["0 s", "59 s", "1:00", "3:20", "1:02:05"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.97, "10 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_numbers_of_any_size() -> None:
    assert [bytes_text(count) for count in (12, 4.1e6, 3.2e9)] == ["12 B", "4.1 MB", "3.2 GB"]
    assert [compact(value) for value in (0, 5e-5, 12, 999, 1200, 3.4e6)] == ["0", "5e-05", "12", "999", "1.2k", "3.4M"]
