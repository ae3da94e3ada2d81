#!/usr/bin/env python3
"""bar plot of perplexities"""


def bars(pp, path):
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="430" height="%d" font-size="12">' % (30 + 24 * sum(len(v) for v in pp.values()) + 26 * len(pp))]
    y, top = 20, max(x for v in pp.values() for x in v.values())
    for size, v in pp.items():
        out.append('<text x="5" y="%d">%s sentences</text>' % (y, size))
        y += 20
        for name, x in v.items():
            out.append('<rect x="100" y="%d" width="%.1f" height="14" fill="#8da0c8"/>' % (y - 11, 260 * x / top))
            out.append('<text x="95" y="%d" text-anchor="end">%s</text><text x="%.1f" y="%d">%.1f</text>' % (y, name, 104 + 260 * x / top, y, x))
            y += 24
        y += 6
    out.append('</svg>')
    with open(path, 'w') as f:
        print('\n'.join(out), file=f)
