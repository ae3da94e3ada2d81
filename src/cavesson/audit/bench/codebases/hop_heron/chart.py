"""Bars: accuracy of both protocols on both sets of people."""

from __future__ import annotations

from pathlib import Path

FILL = {"latent": "#7a5195", "stepwise": "#ffa600"}


class BarChart:
    """Grouped bars on a unit scale."""

    def __init__(self, width: int = 360, height: int = 240):
        self.width, self.height = width, height
        self.shapes: list[str] = []

    def add(self, groups: dict[str, dict[str, float]]) -> None:
        base, scale, slot = self.height - 40, self.height - 80, (self.width - 60) / len(groups)
        for g, (label, bars) in enumerate(groups.items()):
            left = 50 + g * slot
            for b, (name, value) in enumerate(bars.items()):
                x = left + 12 + b * 48
                self.shapes.append(f'<rect x="{x:.0f}" y="{base - scale * value:.1f}" width="40" height="{scale * value:.1f}" fill="{FILL[name]}"/>')
                self.shapes.append(f'<text x="{x + 20:.0f}" y="{base - scale * value - 4:.1f}" text-anchor="middle">{value:.2f}</text>')
            self.shapes.append(f'<text x="{left + 56:.0f}" y="{base + 18}" text-anchor="middle">{label}</text>')
        for i, (name, colour) in enumerate(FILL.items()):
            self.shapes.append(f'<rect x="{50 + 90 * i}" y="8" width="10" height="10" fill="{colour}"/><text x="{64 + 90 * i}" y="17">{name}</text>')
        self.shapes.append(f'<line x1="46" x2="{self.width - 8}" y1="{base}" y2="{base}" stroke="black"/>')

    def write(self, path: Path) -> None:
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" font-family="Helvetica" font-size="11">'
        path.write_text("\n".join([head, *self.shapes, "</svg>"]) + "\n")
