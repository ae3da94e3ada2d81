# main script for the stream experiments (section 4 of the draft)
#
#   python run_stream.py --seed 0 --out results/seed0
#
# other things we ran with it:
#   python run_stream.py --seed 0 --out sweep_w --windows 25 50 100 200 400 800
#   python run_stream.py --seed 0 --out fast --period 600
#   python run_stream.py --seed 0 --out dbg --T 300 --reps 1 --verbose
#
# ~2 s per seed on a laptop

import argparse, json, os, sys, time
import numpy as np

parser = argparse.ArgumentParser()
# stream
parser.add_argument('--T', type=int, default=3000, help='length of a stream')
parser.add_argument('--d', type=int, default=16)
parser.add_argument('--flip', type=float, default=0.1, help='label noise')
parser.add_argument('--period', type=float, default=2400, help='steps for a full turn of the concept (gradual)')
parser.add_argument('--jumps', type=int, default=3, help='number of changes (abrupt)')
parser.add_argument('--streams', nargs='+', default=['stationary', 'gradual', 'abrupt'])
# learners
parser.add_argument('--windows', nargs='+', type=int, default=[60, 200, 600])
parser.add_argument('--lam', type=float, default=1.0, help='ridge')
parser.add_argument('--block', type=int, default=10, help='refit every so many samples')
parser.add_argument('--sgd_lr', type=float, default=0.02)
parser.add_argument('--ph_delta', type=float, default=0.01, help='Page-Hinkley tolerance')
parser.add_argument('--ph_thr', type=float, default=8.0, help='Page-Hinkley threshold')
parser.add_argument('--ph_keep', type=int, default=70, help='samples kept after an alarm')
parser.add_argument('--hedge_eta', type=float, default=0.5)
parser.add_argument('--hedge_gamma', type=float, default=0.98, help='discount of past losses')
# run
parser.add_argument('--reps', type=int, default=4)
parser.add_argument('--burn', type=int, default=200, help='steps at the start that are not scored')
parser.add_argument('--seed', type=int, default=0)
parser.add_argument('--out', type=str, required=True)
parser.add_argument('--save_every', type=int, default=50)
parser.add_argument('--verbose', action='store_true')
args = parser.parse_args()

if args.burn >= args.T:
    sys.exit('burn >= T, nothing to score')

# ------------------------------------------------------------------ streams

def rot(w, v, phi):
    # w and v orthonormal
    return np.cos(phi) * w + np.sin(phi) * v

def make_stream(kind, rng):
    """returns X [T,d], y [T] in {-1,1}, change points (for the plot only)"""
    T, d = args.T, args.d
    X = rng.standard_normal((T, d))
    Q, _ = np.linalg.qr(rng.standard_normal((d, 2)))
    w, v = Q[:, 0], Q[:, 1]
    cps = []
    if kind == 'stationary':
        W = np.tile(w, (T, 1))
    elif kind == 'gradual':
        W = np.stack([rot(w, v, 2 * np.pi * t / args.period) for t in range(T)])
    elif kind == 'abrupt':
        # equally spaced with some jitter, a quarter turn each
        cps = [int(T * (k + 1) / (args.jumps + 1) + rng.integers(-50, 51)) for k in range(args.jumps)]
        phase = np.zeros(T)
        for c in cps:
            phase[c:] += np.pi / 2
        W = np.stack([rot(w, v, p) for p in phase])
    else:
        raise ValueError(kind)
    y = np.sign((X * W).sum(1))
    y[y == 0] = 1
    f = rng.random(T) < args.flip
    y[f] = -y[f]
    return X, y, cps

# ------------------------------------------------------------------ learners
# all of them: predict(x) -> score, add(x, y), refit()

class Full:
    # ridge regression on everything seen so far
    # g < 1 forgets exponentially, we do not use it in the paper
    def __init__(self, d, g=1.0):
        self.g = g
        self.A = args.lam * np.eye(d)
        self.b = np.zeros(d)
        self.w = np.zeros(d)
        self.n = 0
    def predict(self, x):
        return x @ self.w
    def add(self, x, y):
        if self.g < 1:
            self.A *= self.g
            self.b *= self.g
        self.A += np.outer(x, x)
        self.b += y * x
        self.n += 1
    def refit(self):
        self.w = np.linalg.solve(self.A, self.b)

class Window(Full):
    # the same on the last W samples
    def __init__(self, d, W):
        super().__init__(d)
        self.W = W
        self.buf = []
    def add(self, x, y):
        super().add(x, y)
        self.buf.append((x, y))
        if len(self.buf) > self.W:
            xo, yo = self.buf.pop(0)
            self.A -= np.outer(xo, xo)
            self.b -= yo * xo
            self.n -= 1

class Detector(Full):
    # full history, but starts afresh when Page-Hinkley raises an alarm on the errors
    def __init__(self, d):
        super().__init__(d)
        self.recent = []
        self.alarms = 0
        self._reset_ph()
    def _reset_ph(self):
        self.m, self.M, self.k, self.mean = 0.0, 0.0, 0, 0.0
    def add(self, x, y):
        err = float(np.sign(self.predict(x)) != y)
        super().add(x, y)
        self.recent = (self.recent + [(x, y)])[-args.ph_keep:]
        self.k += 1
        self.mean += (err - self.mean) / self.k
        self.m += err - self.mean - args.ph_delta
        self.M = min(self.M, self.m)
        if self.m - self.M > args.ph_thr and self.k > 100:
            self.alarms += 1
            d = len(self.b)
            self.A, self.b, self.n = args.lam * np.eye(d), np.zeros(d), 0
            for xo, yo in self.recent:
                Full.add(self, xo, yo)
            self._reset_ph()

class SGD:
    # logistic, constant rate
    def __init__(self, d):
        self.w = np.zeros(d)
    def predict(self, x):
        return x @ self.w
    def add(self, x, y):
        self.w += args.sgd_lr * y * x / (1 + np.exp(y * (x @ self.w)))
    def refit(self):
        pass

class Hedge:
    # not a learner of its own: follows whichever fixed window did best lately
    def __init__(self, names):
        self.names = names
        self.loss = np.zeros(len(names))
    def weights(self):
        z = -args.hedge_eta * (self.loss - self.loss.min())
        e = np.exp(z)
        return e / e.sum()
    def vote(self, scores):
        # sign votes, weighted
        s = np.array([1.0 if scores[k] >= 0 else -1.0 for k in self.names])
        return float(self.weights() @ s)
    def update(self, scores, y):
        wrong = np.array([float((scores[k] >= 0) != (y > 0)) for k in self.names])
        self.loss = args.hedge_gamma * self.loss + wrong

def learners(d):
    L = {'full': Full(d, 0.995)}
    for W in args.windows:
        L['window%d' % W] = Window(d, W)
    L['detector'] = Detector(d)
    L['sgd'] = SGD(d)
    return L

# ------------------------------------------------------------------ loop

def run(kind, rng):
    X, y, cps = make_stream(kind, rng)
    L = learners(args.d)
    H = Hedge(['window%d' % W for W in args.windows])
    hits = {k: np.zeros(args.T, bool) for k in list(L) + ['hedge']}
    for t in range(args.T):
        x, yt = X[t], y[t]
        scores = {k: l.predict(x) for k, l in L.items()}
        hits['hedge'][t] = (H.vote(scores) >= 0) == (yt > 0)
        H.update(scores, yt)
        for k, l in L.items():
            # prequential: predict first, then learn
            hits[k][t] = (scores[k] >= 0) == (yt > 0)
            l.add(x, yt)
            if (t + 1) % args.block == 0:
                l.refit()
    return hits, cps, L['detector'].alarms

# ------------------------------------------------------------------ main

t0 = time.time()
acc = {}      # stream -> learner -> list over reps
curve = {}    # stream -> learner -> [T]
alarms = {}
for si, kind in enumerate(args.streams):
    acc[kind], curve[kind], alarms[kind] = {}, {}, []
    for r in range(args.reps):
        rng = np.random.default_rng([args.seed, si, r])
        hits, cps, na = run(kind, rng)
        alarms[kind].append(na)
        for k, h in hits.items():
            acc[kind].setdefault(k, []).append(float(h[args.burn:].mean()))
            curve[kind][k] = curve[kind].get(k, 0) + h / args.reps
        if args.verbose:
            print(kind, r, {k: round(v[-1], 3) for k, v in acc[kind].items()}, 'alarms', na, 'changes', cps)

# best fixed window per stream, for the text
best = {}
for kind in acc:
    ws = ['window%d' % W for W in args.windows]
    m = [np.mean(acc[kind][w]) for w in ws]
    best[kind] = args.windows[int(np.argmax(m))]

# paired differences to the full history, with a t interval over reps (few reps, take with salt)
def paired(a, b):
    dlt = np.array(a) - np.array(b)
    n = len(dlt)
    if n < 2:
        return [float(dlt.mean()), float('nan'), float('nan')]
    tq = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}.get(n, 2.0)
    h = tq * dlt.std(ddof=1) / np.sqrt(n)
    return [float(dlt.mean()), float(dlt.mean() - h), float(dlt.mean() + h)]

diff = {kind: {k: paired(a[k], a['full']) for k in a if k != 'full'} for kind, a in acc.items()}

# second half only (full history should get worse and worse under drift)
late = {kind: {k: float(c[args.T // 2:].mean()) for k, c in cs.items()} for kind, cs in curve.items()}

res = {
    'accuracy': {kind: {k: float(np.mean(v)) for k, v in a.items()} for kind, a in acc.items()},
    'late': late,
    'minus_full': {kind: {k: v[0] for k, v in x.items()} for kind, x in diff.items()},
    'best_window': best,
    'alarms': {kind: float(np.mean(a)) for kind, a in alarms.items()},
    'ceiling': 1 - args.flip,
}

os.makedirs(args.out, exist_ok=True)
json.dump(res, open(os.path.join(args.out, 'results.json'), 'w'), indent=1)

# rows for the latex table
def latex_rows():
    names = list(learners(2)) + ['hedge']
    rows = []
    for k in names:
        cells = []
        for kind in args.streams:
            top = max(res['accuracy'][kind].values())
            v = res['accuracy'][kind][k]
            c = '%.3f' % v
            # bold for the best of a column
            cells.append('\\textbf{%s}' % c if v == top else c)
        rows.append(k + ' & ' + ' & '.join(cells) + ' \\\\')
    return rows

with open(os.path.join(args.out, 'table.tex'), 'w') as f:
    f.write('\n'.join(latex_rows()) + '\n')

# curves, thinned
with open(os.path.join(args.out, 'curves.csv'), 'w') as f:
    f.write('stream,learner,t,accuracy\n')
    for kind, cs in curve.items():
        for k, c in cs.items():
            for t in range(0, args.T - args.save_every + 1, 5 * args.save_every):
                f.write('%s,%s,%d,%.4f\n' % (kind, k, t, c[t:t + 5 * args.save_every].mean()))

# quick svg, gradual stream
def svg(kind, names, path):
    Wd, Ht = 480, 230
    col = ['#000', '#1b9e77', '#d95f02', '#7570b3', '#e7298a', '#66a61e', '#a6761d']
    s = ["<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-size='10'>" % (Wd, Ht)]
    s.append("<text x='10' y='12'>%s</text>" % kind)
    for i, k in enumerate(names):
        c = curve[kind][k]
        b = 100
        v = [c[j:j + b].mean() for j in range(0, args.T - b + 1, b)]
        pts = ' '.join('%.1f,%.1f' % (30 + 440. * j / (len(v) - 1), 210 - 320 * (a - 0.4)) for j, a in enumerate(v))
        s.append("<polyline fill='none' stroke='%s' points='%s'/>" % (col[i % len(col)], pts))
        s.append("<text x='%d' y='12' fill='%s'>%s</text>" % (70 + 58 * i, col[i % len(col)], k))
    for a in (0.5, 0.7, 0.9):
        s.append("<text x='5' y='%.1f'>%.1f</text>" % (213 - 320 * (a - 0.4), a))
    s.append('</svg>')
    open(path, 'w').write('\n'.join(s) + '\n')

svg(args.streams[1] if len(args.streams) > 1 else args.streams[0], list(learners(2)) + ['hedge'], os.path.join(args.out, 'curve.svg'))

for kind in acc:
    print('%-11s' % kind, '  '.join('%s %.3f' % (k, v) for k, v in res['accuracy'][kind].items()), ' best window', best[kind])
if args.verbose:
    for kind in diff:
        for k, (m, lo, hi) in diff[kind].items():
            print('   %-11s %-10s minus full: %+.3f (%+.3f, %+.3f)' % (kind, k, m, lo, hi))
    print('%.1f s' % (time.time() - t0))
# print(json.dumps(res, indent=1))
