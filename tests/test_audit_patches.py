"""Patches of hostile hands: applied exactly, wholly or not at all, and in bounded time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavesson.audit.patches import MAX_BYTES, apply_patch
from cavesson.errors import ConfigError

GOOD = "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    place = tmp_path / "code"
    (place / "sub").mkdir(parents=True)
    (place / "train.py").write_text("one\ntwo\nthree\n")
    return place


def test_a_patch_changes_adds_and_removes_files(code: Path) -> None:
    (code / "old.py").write_text("old\n")
    text = (
        "Here is my fix:\n" + GOOD
        + "--- /dev/null\n+++ b/sub/new.py\n@@ -0,0 +1,2 @@\n+new\n+file\n"
        + "--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
    )  # fmt: skip
    assert apply_patch(text, code) == ("old.py", "sub/new.py", "train.py")
    assert (code / "train.py").read_text() == "one\nTWO\nthree\n"
    assert (code / "sub" / "new.py").read_text() == "new\nfile\n" and not (code / "old.py").exists()


def test_line_numbers_may_be_off_but_lines_may_not(code: Path) -> None:
    apply_patch(GOOD.replace("-1,3 +1,3", "-40,3 +44,3"), code)
    assert (code / "train.py").read_text() == "one\nTWO\nthree\n"
    with pytest.raises(ConfigError, match=r"does not fit 'train.py' near line 1: 'one'"):
        apply_patch(GOOD, code)


def test_a_patch_is_applied_wholly_or_not_at_all(code: Path) -> None:
    with pytest.raises(ConfigError, match="does not have"):
        apply_patch(GOOD + GOOD.replace("train.py", "missing.py"), code)
    assert (code / "train.py").read_text() == "one\ntwo\nthree\n"


ADDS = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1 @@\n+x\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace("-1,3", "-" + "9" * 5000 + ",3"), "no hunk"),
        (GOOD.replace("-1,3", "-١,٣"), "no hunk"),
        (GOOD.replace("TWO", "T\ud800"), r"half a character \(U\+D800\)"),
        (GOOD + ADDS.format("new.py").replace("+x", "+\udfff"), "half a character"),
        *(
            (ADDS.format(name), "no name of a file")
            for name in (
                "\ud800.py",
                "a" * 300,
                "a/" * 600 + "x",
                ".git/hooks/pre-commit",
                "__pycache__/x.pyc",
                "..\\x",
                '"\\056"',
                "",
                ".",
                "a\x1b[2J.py",
                "\u202egnp.py",
            )
        ),
        (ADDS.format("x") + ADDS.format("x/y"), "a file and a folder"),
        (GOOD.replace("@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n", "@@ -1 +1 @@\n-one\n+one\n" * 300), "200 hunks"),
        (GOOD.replace("a/train.py", "a/../x.py").replace("b/train.py", "b/../x.py"), "leads out"),
        (GOOD.replace("a/train.py", "/etc/passwd").replace("b/train.py", "/etc/passwd"), "leads out"),
        (GOOD.replace("train.py", "link/passwd"), "through a link"),
        (GOOD.replace("train.py", "sub"), "no file here"),
        ("--- /dev/null\n+++ b/link/new\n@@ -0,0 +1 @@\n+x\n", "through a link"),
        ("--- /dev/null\n+++ b/train.py/new\n@@ -0,0 +1 @@\n+x\n", "no file here"),
        (
            "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc\n",
            "more than changes",
        ),
        ("diff --git a/train.py b/x.py\nrename from train.py\nrename to x.py\n", "more than changes"),
        ("GIT binary patch\nliteral 5\n", "more than changes"),
        (GOOD.replace("b/train.py", "b/other.py"), "renames"),
        (GOOD.replace("-1,3 +1,3", "-1,9 +1,9"), "its head says"),
        ("just words", "changes nothing"),
        ("", "changes nothing"),
    ],
)
def test_hostile_patches_are_refused(code: Path, text: str, problem: str) -> None:
    (code / "link").symlink_to("/etc")
    before = sorted(code.rglob("*"))
    with pytest.raises(ConfigError, match=problem):
        apply_patch(text, code)
    assert sorted(code.rglob("*")) == before and (code / "train.py").read_text() == "one\ntwo\nthree\n"


def test_a_patch_that_the_system_refuses_half_way_is_taken_back(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "z.py":
            raise OSError(28, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    (code / "old.py").write_text("old\n")
    gone = "--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
    with pytest.raises(ConfigError, match="No space left"):
        apply_patch(gone + GOOD + ADDS.format("fresh/z.py"), code)
    assert (code / "train.py").read_text() == "one\ntwo\nthree\n" and (code / "old.py").read_text() == "old\n"
    assert sorted(path.name for path in code.iterdir()) == ["old.py", "sub", "train.py"]


@given(
    st.lists(st.sampled_from("aab"), max_size=12),
    st.lists(st.sampled_from("aab"), min_size=1, max_size=3),
    st.integers(0, 14),
)
def test_a_hunk_goes_to_the_nearest_place_that_it_fits(lines: list[str], wanted: list[str], start: int) -> None:
    places = [at for at in range(len(lines)) if lines[at : at + len(wanted)] == wanted]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f").write_text("".join(f"{line}\n" for line in lines))
        hunk = "".join(f"-{line}\n" for line in wanted) + "+new\n"
        patch = f"--- a/f\n+++ b/f\n@@ -{start},{len(wanted)} +{start} @@\n{hunk}"
        if not places:
            with pytest.raises(ConfigError, match="does not fit"):
                apply_patch(patch, Path(folder))
            return
        apply_patch(patch, Path(folder))
        at = min(places, key=lambda place: abs(place - (start - 1)))
        assert (Path(folder) / "f").read_text().split() == [*lines[:at], "new", *lines[at + len(wanted) :]]


def test_a_patch_whose_lines_fit_almost_everywhere_takes_no_time_that_grows_with_its_square(code: Path) -> None:
    (code / "same.txt").write_text("a\n" * 100_000)
    old = "".join(" a\n" for _ in range(50_000))
    apply_patch(f"--- a/same.txt\n+++ b/same.txt\n@@ -9,50001 +9,50000 @@\n{old}-a\n", code)
    with pytest.raises(ConfigError, match="does not fit"):  # 5 * 10^9 comparisons, line by line
        apply_patch(f"--- a/same.txt\n+++ b/same.txt\n@@ -9,50001 +9,50000 @@\n{old}-b\n", code)


@pytest.mark.parametrize("end", ["\x0c", "\x0b", "\x85", "\u2028", "\x1c"])
def test_a_patch_counts_lines_as_python_does(code: Path, end: str) -> None:
    (code / "f.py").write_text(f"one\nx = 'a{end}b'\nthree\n")
    apply_patch(f"--- a/f.py\n+++ b/f.py\n@@ -1,3 +1,3 @@\n one\n x = 'a{end}b'\n-three\n+THREE\n", code)
    assert (code / "f.py").read_text() == f"one\nx = 'a{end}b'\nTHREE\n"


def test_a_patch_of_100_mb_is_refused_unread(code: Path) -> None:
    with pytest.raises(ConfigError, match=f"{MAX_BYTES:,} bytes"):
        apply_patch(GOOD + "+x\n" * (100 * (1 << 20) // 3), code)
