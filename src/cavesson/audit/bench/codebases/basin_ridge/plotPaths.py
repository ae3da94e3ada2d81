# poor man's plot(): no toolboxes here


def plotPaths(curves, fname):
    # curves  name -> (ts, L)
    w, h = 420, 260;
    top = max(max(L) for ts, L in curves.values())*1.05;
    col = {'none': '#000000', 'random': '#999999', 'weights': '#0072bd', 'activations': '#d95319'};
    px = lambda t: 45 + t*(w-65);
    py = lambda v: h - 35 - v/top*(h-60);
    s = '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="Helvetica" font-size="11">\n' % (w, h);
    s += '<rect x="45" y="25" width="%d" height="%d" fill="none" stroke="black"/>\n' % (w-65, h-60);
    k = 0;
    for name, (ts, L) in curves.items():
        s += '<polyline fill="none" stroke="%s" stroke-width="1.5" points="' % col[name];
        s += ' '.join('%.1f,%.1f' % (px(t), py(v)) for t, v in zip(ts, L));
        s += '"/>\n';
        s += '<text x="%d" y="16" fill="%s">%s</text>\n' % (45 + 90*k, col[name], name);
        k = k + 1;
    # end
    s += '<text x="40" y="%.1f" text-anchor="end">%.1f</text>\n' % (py(0), 0);
    s += '<text x="40" y="%.1f" text-anchor="end">%.1f</text>\n' % (py(top/1.05)+4, top/1.05);
    s += '<text x="45" y="%d">A</text><text x="%d" y="%d">B</text>\n</svg>\n' % (h-18, w-28, h-18);
    f = open(fname, 'w');
    f.write(s);
    f.close();
