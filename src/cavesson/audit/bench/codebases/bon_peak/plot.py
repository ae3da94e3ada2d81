import math

INK = {'single': '#d1495b', 'mean': '#66a182', 'pessimistic': '#2e4057'}


def svg_curves(gold, path, w=440, h=270):
    """gold: {arm: {n: reward}}; log2 axis for n."""
    left, right, top, bottom = 44, 92, 14, 38
    ns = [int(n) for n in next(iter(gold.values()))]
    ys = [v for arm in gold.values() for v in arm.values()]
    lo, hi = min(ys) - 0.2, max(ys) + 0.2
    X = lambda n: left + (w - left - right) * math.log2(n) / math.log2(max(ns))
    Y = lambda v: top + (h - top - bottom) * (hi - v) / (hi - lo)
    s = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" font-family="Helvetica, sans-serif" font-size="11">']
    s += [f'<rect width="{w}" height="{h}" fill="#fff"/>', f'<path d="M{left} {top}V{h - bottom}H{w - right}" fill="none" stroke="#333"/>']
    for n in ns:
        s.append(f'<text x="{X(n):.0f}" y="{h - bottom + 15}" text-anchor="middle">{n}</text>')
    for v in range(math.ceil(lo), math.floor(hi) + 1):
        s.append(f'<path d="M{left} {Y(v):.1f}H{w - right}" stroke="#eee"/><text x="{left - 6}" y="{Y(v) + 4:.1f}" text-anchor="end">{v}</text>')
    s.append(f'<text x="{(left + w - right) / 2}" y="{h - 6}" text-anchor="middle">n (log scale)</text>')
    s.append(f'<text x="12" y="{h / 2}" transform="rotate(-90 12 {h / 2})" text-anchor="middle">gold reward of best-of-n</text>')
    labels = sorted(((Y(list(c.values())[-1]), arm) for arm, c in gold.items()))
    last = -100
    for y, arm in labels:
        last = max(y + 4, last + 13)
        s.append(f'<text x="{w - right + 6}" y="{last:.1f}" fill="{INK[arm]}">{arm}</text>')
    for arm, curve in gold.items():
        pts = ' '.join(f'{X(int(n)):.1f},{Y(v):.1f}' for n, v in curve.items())
        s.append(f'<polyline points="{pts}" fill="none" stroke="{INK[arm]}" stroke-width="2"/>')
    with open(path, 'w') as f:
        f.write('\n'.join(s + ['</svg>']) + '\n')
