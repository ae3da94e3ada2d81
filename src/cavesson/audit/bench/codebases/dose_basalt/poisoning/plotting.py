"""Success rate against the number of poisoned documents, one curve per corpus size (SVG)."""

import numpy as np

SHADES = ["#9ecae1", "#4292c6", "#08306b", "#000000"]


def success_curves(counts, success, path):
    left, top, width, height = 50, 15, 320, 200
    x = left + width * np.log2(np.array(counts) / counts[0]) / np.log2(counts[-1] / counts[0])
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 110}" height="{top + height + 45}" font-family="sans-serif" font-size="11">']
    svg.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>')
    for level in (0, 0.5, 1):
        y = top + height * (1 - level)
        svg.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{level:g}</text>')
        svg.append(f'<path d="M{left} {y:.0f}h{width}" stroke="#ddd"/>')
    for xi, count in zip(x, counts):
        svg.append(f'<text x="{xi:.0f}" y="{top + height + 15}" text-anchor="middle">{count}</text>')
    svg.append(f'<text x="{left + width / 2:.0f}" y="{top + height + 34}" text-anchor="middle">poisoned documents</text>')
    for i, (n, rates) in enumerate(success.items()):
        points = " ".join(f"{a:.1f},{top + height * (1 - b):.1f}" for a, b in zip(x, rates))
        svg.append(f'<polyline points="{points}" fill="none" stroke="{SHADES[i]}" stroke-width="2"/>')
        svg.append(f'<text x="{left + width + 8}" y="{top + 14 + 16 * i}" fill="{SHADES[i]}">n = {n}</text>')
    path.write_text("\n".join([*svg, "</svg>\n"]))
