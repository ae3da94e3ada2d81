# MAIN  linear mode connectivity with and without matching
#   python main.py SEED OUTDIR
import json
import os
import sys
import numpy as np

from makeData import makeData, moreData
from trainNet import trainNet
from matchNets import permute, matchWeights, matchActivations, matchRandom, moved
from barrier import path, height
from collapse import collapse
from net import lossAcc, dist, norm
from plotPaths import plotPaths

#%% parameters
seed = int(sys.argv[1]);
outDir = sys.argv[2];
K = 6;            # classes
D = 12;           # inputs
NTRAIN = 2700;
NTEST = 2000;
NOISE = 0.25;
WIDTHS = [16, 64, 256];
STEPS = 21;       # points on a path
opt = {'epochs': 30, 'batch': 60, 'lr': 0.005, 'wd': 0.01};

#%% data
rs = np.random.RandomState(seed);
Xtr, Ttr, C = makeData(NTRAIN, K, D, NOISE, rs);
Xte, Tte = moreData(NTEST, K, C, NOISE, rs);
X1, T1 = moreData(500, K, C, NOISE, rs);      # for matching by activations

#%% pairs of nets
R = {'barrier': {}, 'accuracy': {}, 'midAccuracy': {}, 'distance': {}, 'moved': {}, 'loss': {}, 'spread': {}};
curves = {};
for H in WIDTHS:
    h = str(H);
    A = trainNet(Xtr, Ttr, H, K, opt, np.random.RandomState(1000*seed + 1), np.random.RandomState(1000*seed + 11));
    B = trainNet(Xtr, Ttr, H, K, opt, np.random.RandomState(1000*seed + 2), np.random.RandomState(1000*seed + 12));
    la, ra = lossAcc(A, Xte, Tte);
    lb, rb = lossAcc(B, Xte, Tte);
    R['accuracy'][h] = float((ra + rb)/2);
    R['loss'][h] = float((la + lb)/2);

    perms = {'none': np.arange(H),
             'random': matchRandom(A, B, rs),
             'weights': matchWeights(A, B),
             'activations': matchActivations(A, B, X1)};
    for q in ['barrier', 'midAccuracy', 'distance', 'moved', 'spread']:
        R[q][h] = {};
    # end
    for name, p in perms.items():
        Bp = permute(B, p);
        ts, L, acc = path(A, Bp, Xte, Tte, STEPS);
        R['barrier'][h][name] = height(ts, L);
        R['midAccuracy'][h][name] = float(acc[STEPS//2]);
        R['distance'][h][name] = float(dist(A, Bp)/norm(A));
        R['moved'][h][name] = moved(p);
        R['spread'][h][name] = collapse(A, Bp, X1);
        if H == WIDTHS[-1]:
            curves[name] = (ts, L);
        # end
    # end
    print('H = %4d  acc %.3f  barrier: ' % (H, R['accuracy'][h]) + '  '.join('%s %.3f' % kv for kv in R['barrier'][h].items()));
# end

#%% save
if not os.path.exists(outDir):
    os.makedirs(outDir);
# end
f = open(os.path.join(outDir, 'results.json'), 'w');
f.write(json.dumps(R, indent=1) + '\n');
f.close();
f = open(os.path.join(outDir, 'paths.csv'), 'w');
f.write('matching,t,loss\n');
for name, (ts, L) in curves.items():
    for t, v in zip(ts, L):
        f.write('%s,%.3f,%.5f\n' % (name, t, v));
    # end
# end
f.close();
plotPaths(curves, os.path.join(outDir, 'paths.svg'));
