import csv
import json

from string import Template

SVG = Template(
    """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $w $h" font-family="monospace" font-size="10">
<g fill="none" stroke-width="1.5">
$lines
</g>
<g>
$labels
</g>
</svg>
"""
)
COLOURS = {"last": "#444444", "ema": "#cc3311", "tail": "#0077bb"}


def write(out, results, curves):
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    with open(out / "curves.csv", "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["schedule", "step", "average", "test_mse"])
        for arm, curve in curves.items():
            for step, values in curve:
                w.writerows([arm, step, key, f"{value:.5f}"] for key, value in values.items())
    (out / "curves.svg").write_text(figure(curves["constant"]))


def figure(curve, w=420, h=240):
    top = max(v for _, values in curve[1:] for v in values.values())
    last = curve[-1][0]
    lines, labels = [], [f'<text x="10" y="14">test MSE, constant rate (top {top:.3f})</text>']
    for i, (key, colour) in enumerate(COLOURS.items()):
        pts = [(40 + 360 * s / last, 220 - 190 * values[key] / top) for s, values in curve[1:] if key in values]
        lines.append(f'<polyline stroke="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in pts)}"/>')
        labels.append(f'<text x="{300 + 40 * i}" y="14" fill="{colour}">{key}</text>')
    return SVG.substitute(w=w, h=h, lines="\n".join(lines), labels="\n".join(labels))
