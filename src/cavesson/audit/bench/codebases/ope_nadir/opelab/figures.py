"""A bar chart in SVG, built with the standard library's ElementTree."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

_FILL = {"dm": "#999999", "ips": "#e69f00", "snips": "#56b4e9", "dr": "#009e73"}


def rmse_bars(rmse: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw the error of every estimator, grouped by the size of the log."""
    top = max(value for group in rmse.values() for value in group.values())
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", width="460", height="240")
    for g, (size, group) in enumerate(rmse.items()):
        for k, (name, value) in enumerate(group.items()):
            height = 170 * value / top
            x = 40 + 210 * g + 45 * k
            ET.SubElement(svg, "rect", x=f"{x}", y=f"{200 - height:.1f}", width="36", height=f"{height:.1f}", fill=_FILL[name])
            label = ET.SubElement(svg, "text", {"x": f"{x + 18}", "y": f"{195 - height:.1f}", "font-size": "10", "text-anchor": "middle"})
            label.text = f"{name} {value:.3f}"
        caption = ET.SubElement(svg, "text", {"x": f"{125 + 210 * g}", "y": "225", "font-size": "12", "text-anchor": "middle"})
        caption.text = f"n = {size}"
    ET.indent(svg)
    path.write_text(ET.tostring(svg, encoding="unicode") + "\n", encoding="utf-8")
