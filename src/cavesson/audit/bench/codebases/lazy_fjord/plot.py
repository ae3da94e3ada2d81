"""Two panels over alpha: test error and kernel change. Plain SVG, no dependencies."""
import math

W, H, PAD = 260, 180, 45


def panel(x0, title, alphas, values, log):
    if log:
        lo, hi = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        ticks = [(e, "1e%d" % e) for e in range(lo, hi + 1)]
        pos = [math.log10(v) for v in values]
    else:
        lo, hi = 0.0, 0.5
        ticks = [(v / 10, "%.1f" % (v / 10)) for v in range(0, 6)]
        pos = values
    hi = hi if hi > lo else lo + 1
    xs = [x0 + PAD + W * i / (len(alphas) - 1) for i in range(len(alphas))]
    ys = [PAD + H * (1 - (v - lo) / (hi - lo)) for v in pos]
    out = ['<text x="%.0f" y="20" text-anchor="middle">%s</text>' % (x0 + PAD + W / 2, title)]
    for v, label in ticks:
        y = PAD + H * (1 - (v - lo) / (hi - lo))
        out.append('<path d="M%.0f %.1f h%d" stroke="#e4e4e4"/>' % (x0 + PAD, y, W))
        out.append('<text x="%.0f" y="%.1f" text-anchor="end">%s</text>' % (x0 + PAD - 5, y + 4, label))
    for x, alpha in zip(xs, alphas):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%g</text>' % (x, PAD + H + 16, alpha))
    line = " ".join("%.1f,%.1f" % q for q in zip(xs, ys))
    out.append('<polyline points="%s" fill="none" stroke="#3b4cc0" stroke-width="2"/>' % line)
    out += ['<circle cx="%.1f" cy="%.1f" r="3.5" fill="#3b4cc0"/>' % q for q in zip(xs, ys)]
    out.append('<text x="%.0f" y="%d" text-anchor="middle">output scale</text>' % (x0 + PAD + W / 2, PAD + H + 34))
    return out


def save(path, alphas, error, change):
    body = panel(0, "test error", alphas, error, False) + panel(W + 2 * PAD, "relative kernel change", alphas, change, True)
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="serif" font-size="12">' % (2 * W + 4 * PAD, H + 2 * PAD)
    with open(path, "w") as fh:
        fh.write("\n".join([head] + body + ["</svg>"]) + "\n")
