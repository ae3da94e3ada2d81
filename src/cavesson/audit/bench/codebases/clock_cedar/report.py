"""Learning curves as SVG (log-scaled steps)."""

from math import log10

STROKE = {"none": "#8c2d04", "mild": "#fe9929", "full": "#225ea8"}


def curves_svg(curves, path):
    w, h, m = 440, 220, 40
    last = max(c[-1]["step"] for c in curves.values())

    def xy(step, acc):
        return m + (w - 2 * m) * (log10(step) - 1) / (log10(last) - 1), h - m - (h - 2 * m) * acc

    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {w} {h}' width='{w}' height='{h}'>"]
    out.append(f"<rect x='{m}' y='{m}' width='{w - 2 * m}' height='{h - 2 * m}' fill='none' stroke='#999'/>")
    for name, curve in curves.items():
        for key, dash in (("train", "4 3"), ("test", "none")):
            pts = " ".join(f"{x:.1f},{y:.1f}" for x, y in (xy(c["step"], c[key]) for c in curve))
            out.append(f"<polyline fill='none' stroke='{STROKE[name]}' stroke-width='1.6' stroke-dasharray='{dash}' points='{pts}'/>")
    for i, name in enumerate(curves):
        out.append(f"<text x='{m + 8 + 110 * i}' y='{m - 12}' font-size='12' fill='{STROKE[name]}'>decay: {name}</text>")
    for step in (10, 100, 1000):
        out.append(f"<text x='{xy(step, 0)[0]:.0f}' y='{h - m + 16}' font-size='11' text-anchor='middle'>{step}</text>")
    for acc in (0, 0.5, 1):
        out.append(f"<text x='{m - 6}' y='{xy(10, acc)[1] + 4:.0f}' font-size='11' text-anchor='end'>{acc:g}</text>")
    out.append(f"<text x='{w / 2:.0f}' y='{h - 6}' font-size='11' text-anchor='middle'>step (dashed: train, solid: test)</text>")
    out.append("</svg>")
    path.write_text("\n".join(out) + "\n")
