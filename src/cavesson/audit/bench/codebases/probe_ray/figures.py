"""A line plot as plain SVG, so that the figures need no plotting library."""

from __future__ import annotations

from pathlib import Path

COLOURS = ["#3b6ea5", "#c8553d", "#5b8c5a", "#8d6a9f"]
WIDTH, HEIGHT, LEFT, BOTTOM = 420, 260, 52, 40


def auroc_curves(auroc: dict[str, dict[str, float]], path: Path) -> None:
    """One curve per probe: AUROC against the agreement of tone and truth in the test claims."""

    def px(agreement: float) -> float:
        return LEFT + agreement * (WIDTH - LEFT - 16)

    def py(value: float) -> float:
        return HEIGHT - BOTTOM - value * (HEIGHT - BOTTOM - 16)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{py(tick):.1f}" y2="{py(tick):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{py(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text x="{px(tick):.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">agreement of tone and truth at test</text>')
    parts.append(f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">AUROC</text>')
    for colour, (name, curve) in zip(COLOURS, auroc.items()):
        points = [(px(float(a)), py(v)) for a, v in curve.items()]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
        x, y = points[2]
        parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" fill="{colour}" text-anchor="middle">{name.replace("_", " ")}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")
