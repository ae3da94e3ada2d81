r"""One notation for what writers put around an answer: Markdown, delimiters of formulas, LaTeX's spacing, Unicode's signs."""

from __future__ import annotations

import re
import unicodedata

REACH = 600
"""Characters within which an answer must stand: models that repeat themselves write marks without end."""

LAST = 24
"""So many of the last marks are looked at."""

_SIGNS = str.maketrans(
    {
        "−": "-", "‐": "-", "‑": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ",
        "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "≈": r"\approx ", "±": r"\pm ", "°": r"^\circ ",
        "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "⁄": "/",
    }
)  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_WRAPPERS = (
    r"text|mathrm|textbf|mathbf|textit|mathit|mbox|textnormal|textrm|operatorname|mathsf|texttt|emph|bm|boldsymbol"
)
_SPACING = re.compile(r"\\(?:left|right|displaystyle|textstyle|limits|bigl?|bigr?|Bigl?|Bigr?)(?![a-zA-Z])|\\!\s*")
_EMPHASIS = re.compile(r"(?<![\w)*])(\*\*\*|\*\*|\*|__|`)(?=[^\s*_`])(.+?)(?<=[^\s*_`])\1(?![\w(*])", re.DOTALL)
_MATHS = re.compile(
    r"\$\$(.+?)\$\$|\\\((.+?)\\\)|\\\[(.+?)\\\]|(?<![\\$])\$(?!\s)([^$\n]*?[^$\s\\])\$(?!\d)", re.DOTALL
)
_SPACED_MATHS = re.compile(r"(?<![\\$])\$\s+([^$\n]*?)\s+\$(?!\d)")
FORMULA = re.compile(r"\$\$.+?\$\$|\\\(.+?\\\)|\\\[.+?\\\]|(?<![\\$])\$(?:\\\$|[^$\n])+?(?<!\\)\$(?!\d)", re.DOTALL)
_JOINT = re.compile(
    r"(?:\s|[,;$]|\\q?quad|\\[()\[\]]|\\text\s*\{[^{}]{0,40}\}|\band\b|\bor\b|\b[a-z]+\s+(?=and\b)|[A-Za-z]\w{0,3}\s*=)*"
)
_BOX = re.compile(r"\\(?:(?:begin)?boxed|fbox)\s*(?=\{)")
_WORDS = re.compile(r"(?<!\w)-?\d+(?:[.,]\d+)*(?!\w)|\b[a-f]-(?![\w-])|\w+(?:[+#]+(?!\w))?")
DENIED = re.compile(
    r"\b(?:not|no|\w+n t|cannot|never|than|neither|nor|instead of|except(?: for)?|excluding|unlike|(?:anything|everything|all) but|"
    r"(?:don t|do not|doubt) (?:think |believe )?(?:that )?(?:it|that|this|the answer)(?: is| was| s)?|"
    r"either(?: \w+){0,4}? or|either)(?: be| in| at| on| by| from)?(?: the| a| an)? $"
)
"""What denies, or leaves open, the words that come next, in the form of `words`."""
TAGGED = re.compile(r"<(answer|final_answer)>(.{0,6000}?)</\1>", re.DOTALL | re.IGNORECASE)


def tidy(text: str) -> str:
    """The text with ASCII digits and signs, LaTeX names for Unicode's mathematics, and without Markdown's emphasis."""
    text = re.sub(r"<<[^<>]*>>", "", text)  # GSM8K's calculator
    text = re.sub(r"(?<=\d)_(?=\d{3}(?!\d))", "", text)  # Python's 1_000
    text = re.sub(r"\bRs\.?\s*(?=\d)", "₹", text)
    text = re.sub("[⁰¹²³⁴-⁹⁻]+", lambda found: "^{" + found[0].translate(_RAISED) + "}", text)
    text = re.sub(r"(\d?)([¼-¾⅐-⅞])", lambda found: (found[1] and found[1] + " ") + _vulgar(found[2]), text)
    text = re.sub("[\uff01-\uff5e\u3000]", lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = re.sub(r"√\s*(\d+|[a-zA-Z]|(?=\())", lambda found: rf"\sqrt{{{found[1]}}}" if found[1] else "sqrt", text)
    text = re.sub(r"(?<=\d)\s?–\s?(?=\d)", "-", text)
    text = re.sub(r"^(\s*)–(?=\s*[\d.$\\])", r"\1-", text.translate(_SIGNS))
    for _ in range(3):
        text = _EMPHASIS.sub(r"\2", text)
    return text


def _vulgar(sign: str) -> str:
    return unicodedata.normalize("NFKC", sign).replace("⁄", "/")


def boxes(text: str) -> list[tuple[int, str]]:
    r"""The place where each whole `\boxed{…}` or `\fbox{…}` ends, and its content, inner braces included."""
    found = []
    for opened in list(_BOX.finditer(text))[-LAST:]:
        depth = 0
        for place in range(opened.end(), min(len(text), opened.end() + 10 * REACH)):
            depth += (text[place] == "{") - (text[place] == "}")
            if not depth:
                found.append((place + 1, text[opened.end() + 1 : place].strip()))
                break
    return found


def joined_boxes(text: str) -> list[tuple[int, str]]:
    r"""The boxes of a text; boxes with only "and", commas or signs of formulas between them are one: `\boxed{1} and \boxed{2}`."""
    found: list[tuple[int, str]] = []
    for end, content in boxes(text):
        between = text[found[-1][0] :] if found else ""
        opened = _BOX.search(between)
        if found and opened and _JOINT.fullmatch(between[: opened.start()]) and content != found[-1][1]:
            found[-1] = (end, f"{found[-1][1]}, {content}")
        else:
            found.append((end, content))
    return found


def unboxed(text: str) -> str:
    """The text in which a box is replaced by its content."""
    while contents := boxes(text):
        end, content = contents[0]
        start = _BOX.search(text)
        assert start is not None
        text = text[: start.start()] + content + text[end:]
    return text


def undelimited(text: str) -> str:
    r"""The text without the delimiters of formulas: `$…$`, `\(…\)`, `\[…\]`, `$$…$$`; a price's `$` stays."""
    text = _MATHS.sub(lambda found: " " + next(filter(None, found.groups()), "").strip() + " ", text)
    return _SPACED_MATHS.sub(r" \1 ", text).strip()


def unwrapped(text: str) -> str:
    r"""The text without `\text{…}`, `\mathrm{…}`, `\textbf{…}` around its parts."""
    for _ in range(3):
        text = re.sub(rf"\\(?:{_WRAPPERS})\s*\{{([^{{}}]*)\}}", r" \1 ", text)
    return text


def one_line(text: str) -> str:
    r"""An answer in one notation: without delimiters, boxes, wrappers, LaTeX's spacing and the full stop."""
    text = undelimited(unboxed(tidy(text)))
    text = re.sub(r"\\[dtc]frac", r"\\frac", _SPACING.sub("", text).replace("{,}", ","))
    text = re.sub(r"(?<=\d)\\,\s*(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])", " ", text)
    text = re.sub(r"(?<!\\)\\([$%#])", r"\1", unwrapped(text))
    text = re.sub(r"\s+", " ", text).strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`*":
        text = text[1:-1].strip()
    return re.sub(r"(?<![\\.])[.;:,?]$", "", text).strip()


def words(text: str) -> str:
    """The words of a text in one spelling, without punctuation: numbers are whole and have their sign, "C++", "C#" and "A-" are no "C" and "A"."""
    plain = unicodedata.normalize("NFKC", text).translate(str.maketrans("−‐‑", "---")).casefold()
    return " ".join(_number(word) for word in _WORDS.findall(plain))


def _number(word: str) -> str:
    """A number without commas between thousands and zeros at its end; another word as it is."""
    if not re.fullmatch(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", word):
        return word
    plain = word.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
