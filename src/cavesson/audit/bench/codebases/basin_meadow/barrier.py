import numpy as np
from net import lerp, lossAcc


def path(a, b, X, T, steps):
    # PATH  loss and accuracy between two nets
    ts = np.linspace(0, 1, steps);
    L = np.zeros(steps);  R = np.zeros(steps);
    for i, t in enumerate(ts):
        L[i], R[i] = lossAcc(lerp(a, b, t), X, T);
    # end
    return ts, L, R


def height(ts, L):
    # HEIGHT  largest excess over the straight line between the end points
    base = (1 - ts)*L[0] + ts*L[-1];
    return float(np.max(L - base))
