# step 5: one figure
def coverage_figure(summary, alpha, path):
    rows = []
    y = 40
    for population, methods in summary["coverage"].items():
        rows.append(f'  <text x="10" y="{y}" font-weight="bold">{population}</text>')
        for method, value in sorted(methods.items()):
            y += 22
            length = 300 * (value - 0.5) / 0.5
            rows.append(f'  <text x="20" y="{y}">{method}</text>')
            rows.append(f'  <rect x="110" y="{y - 11}" width="{length:.1f}" height="13" fill="steelblue"/>')
            rows.append(f'  <text x="{115 + length:.1f}" y="{y}">{value:.3f}</text>')
        y += 32
    nominal = 110 + 300 * (0.5 - alpha) / 0.5
    text = "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="480" height="{y}" font-family="sans-serif" font-size="12">',
        f'  <line x1="{nominal}" x2="{nominal}" y1="20" y2="{y - 20}" stroke="crimson"/>',
        *rows,
        "</svg>",
    ])
    path.write_text(text + "\n")
