# A line plot without plotting libraries.
"""Writes SVG by hand."""

_COLORS = ('#d62728', '#1f77b4', '#2ca02c', '#9467bd')


def _smooth(values, width=10):
  """Returns means of consecutive blocks."""
  return [float(values[i:i + width].mean()) for i in range(0, len(values) - width + 1, width)]


def lines(curves, floor, path):
  """Draws the share of LEFT over episodes.

  Args:
    curves: A dict from agent to an array of shares, one per episode.
    floor: The share of LEFT of an agent that prefers RIGHT, drawn dashed.
    path: Where to write.
  """
  x = lambda i, n: 50 + 400 * i / max(n - 1, 1)
  y = lambda v: 230 - 200 * v
  out = ['<svg xmlns="http://www.w3.org/2000/svg" width="480" height="270" font-size="12">']
  out.append('<rect x="50" y="30" width="400" height="200" fill="none" stroke="#999"/>')
  out.append('<line x1="50" x2="450" y1="%.1f" y2="%.1f" stroke="#999" stroke-dasharray="4"/>' % (y(floor), y(floor)))
  for k, (name, values) in enumerate(curves.items()):
    blocks = _smooth(values)
    points = ' '.join('%.1f,%.1f' % (x(i, len(blocks)), y(v)) for i, v in enumerate(blocks))
    out.append('<polyline fill="none" stroke="%s" points="%s"/>' % (_COLORS[k], points))
    out.append('<text x="%d" y="20" fill="%s">%s</text>' % (50 + 120 * k, _COLORS[k], name))
  for v in (0.0, 0.5, 1.0):
    out.append('<text x="44" y="%.1f" text-anchor="end">%.1f</text>' % (y(v) + 4, v))
  out.append('<text x="250" y="258" text-anchor="middle">episode</text>')
  out.append('</svg>')
  with open(path, 'w') as f:
    f.write('\n'.join(out) + '\n')
