"""Grouped bars in SVG."""

FILL = {"raw": "#b5651d", "dedup": "#4f7cac"}


def bars(extraction, path):
    """extraction: {arm: {copies: share}}"""
    W, H, x0, y0, top = 400, 230, 46, 190, 20
    levels = list(next(iter(extraction.values())))
    step = (W - x0 - 20) / len(levels)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="serif" font-size="12">' % (W, H)]
    out.append('<rect width="100%" height="100%" fill="white"/>')
    for share in (0, 0.5, 1):
        y = y0 - share * (y0 - top)
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ccc"/>' % (x0, W - 20, y, y))
        out.append('<text x="%d" y="%.1f" text-anchor="end">%g</text>' % (x0 - 6, y + 4, share))
    for i, level in enumerate(levels):
        left = x0 + i * step
        for j, (arm, shares) in enumerate(extraction.items()):
            h = shares[level] * (y0 - top)
            box = (left + step * (0.15 + 0.35 * j), y0 - h, step * 0.33, h, FILL[arm])
            out.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>' % box)
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (left + step / 2, y0 + 16, level))
    out.append('<text x="%d" y="%d" text-anchor="middle">copies in the raw corpus</text>' % ((W + x0) / 2, H - 8))
    for j, arm in enumerate(extraction):
        out.append('<text x="%d" y="14" fill="%s">%s</text>' % (x0 + 10 + 60 * j, FILL[arm], arm))
    path.write_text("\n".join(out) + "\n</svg>\n")
