"""The optimism of a plain hull, and what cross-fitting leaves of it.

    python benchmarks/hull_bias.py docs/hull-bias.svg

Draws the plot of `docs/notes/coverage.md`; one core, about a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cavesson.analysis.frontier import frontier, hull_area
from simulated import SHAPES, sampled

NS = (50, 100, 200, 500, 1000)
SHOWN = ("in proportion", "curve", "sudden and cheap")
PLAIN, HONEST = "#c2410c", "#0f766e"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 900, 330, 62, 56, 58, 24
LOWEST, HIGHEST = -0.04, 0.15

Curve = list[tuple[float, float]]
"""(Bias, its standard error) at each n."""


def biases(shape: str) -> tuple[Curve, Curve]:
    """Of the plain and of the cross-fitted hull."""
    kept, removed, steps = SHAPES[shape]
    truth, rng = hull_area(kept, removed), np.random.default_rng(0)
    plain, honest = [], []
    for n in NS:
        repeats = 200 if n <= 200 else 60
        found = [frontier(*sampled(kept, removed, n, rng, steps=steps), seed=i) for i in range(repeats)]
        for curve, values in ((plain, [f.naive_auc for f in found]), (honest, [f.auc.value for f in found])):
            curve.append((float(np.mean(values) - truth), float(np.std(values) / np.sqrt(repeats))))
        print(
            f"{shape:18} n = {n:4}  plain {plain[-1][0]:+.4f}  cross-fitted {honest[-1][0]:+.4f} ± {honest[-1][1]:.4f}"
        )
    return plain, honest


def y(bias: float) -> float:
    return TOP + (HIGHEST - bias) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM)


def panel(index: int, shape: str) -> list[str]:
    width = (WIDTH - LEFT - 12) / len(SHOWN) - GAP
    left = LEFT + index * (width + GAP)
    places = [left + 14 + i * (width - 28) / (len(NS) - 1) for i in range(len(NS))]
    drawn = [
        f'<text x="{left}" y="{TOP - 12}" class="title">{shape}, true AUC {hull_area(*SHAPES[shape][:2]):.2f}</text>',
        f'<rect x="{left}" y="{y(0.01):.1f}" width="{width:.1f}" height="{y(-0.01) - y(0.01):.1f}" fill="#e7e5e4"/>',
        f'<line x1="{left}" x2="{left + width:.1f}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#78716c"/>',
    ]
    drawn += [
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" class="tick mid">{n}</text>'
        for x, n in zip(places, NS, strict=True)
    ]
    if index == 0:
        ticks = (0.0, 0.05, 0.1, 0.15)
        drawn += [f'<text x="{left - 8}" y="{y(t) + 4:.1f}" class="tick end">{t:+.2f}</text>' for t in ticks]
    for color, curve in zip((PLAIN, HONEST), biases(shape), strict=True):
        line = " ".join(f"{x:.1f},{y(bias):.1f}" for x, (bias, _) in zip(places, curve, strict=True))
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        for x, (bias, error) in zip(places, curve, strict=True):
            low, high = y(bias - 2 * error), y(bias + 2 * error)
            drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{color}"/>')
            drawn.append(f'<circle cx="{x:.1f}" cy="{y(bias):.1f}" r="3.5" fill="{color}"/>')
    return drawn


def picture() -> str:
    style = "text{font:13px system-ui,sans-serif;fill:#292524}.title{font-weight:600}.tick{font-size:12px;fill:#57534e}"
    style += ".mid{text-anchor:middle}.end{text-anchor:end}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><style>{style}</style>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20">Bias of the AUC: <tspan fill="{PLAIN}" font-weight="600">plain hull</tspan>, '
        f'<tspan fill="{HONEST}" font-weight="600">cross-fitted hull</tspan> (bars: two standard errors; grey: ±0.01)</text>',
        *(mark for index, shape in enumerate(SHOWN) for mark in panel(index, shape)),
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" class="mid">evaluation prompts of each kind</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/hull_bias.py FILE.svg")
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
