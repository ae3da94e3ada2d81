"""The figure of the paper as SVG: one dot per student."""

from __future__ import annotations

from pathlib import Path

COLOURS = {"shared": "#0f6e6e", "unrelated": "#b5562b"}


def dots(path: Path, arms: dict[str, list[float]], teacher: float, chance: float) -> None:
    """Accuracy of every student by arm, with the teacher's accuracy and chance as lines."""
    top, height, left, width = 20, 200, 50, 300

    def y(value: float) -> float:
        return top + height * (1 - value)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{top + height + 40}" font-family="sans-serif" font-size="12">']
    for value in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{left - 8}" y="{y(value) + 4:.0f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y(value):.0f}" y2="{y(value):.0f}" stroke="#ddd"/>')
    for value, name in ((teacher, "teacher"), (chance, "chance")):
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#444" stroke-dasharray="5 3"/>')
        parts.append(f'<text x="{left + width + 6}" y="{y(value) + 4:.1f}">{name}</text>')
    for i, (arm, values) in enumerate(arms.items()):
        centre = left + width * (i + 0.5) / len(arms)
        for j, value in enumerate(values):
            x = centre + 16 * (j - (len(values) - 1) / 2)
            parts.append(f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="5" fill="{COLOURS.get(arm, "#777")}"/>')
        parts.append(f'<text x="{centre:.0f}" y="{top + height + 22}" text-anchor="middle">{arm} initialisation</text>')
    path.write_text("\n".join([*parts, "</svg>", ""]))
