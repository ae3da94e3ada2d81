import numpy as np
from scipy.optimize import linear_sum_assignment
from net import hidden


def permute(n, p):
    # PERMUTE  old unit i becomes new unit p(i); the function does not change
    q = {};
    p = np.argsort(p);
    q['W1'] = n['W1'][p, :];
    q['b1'] = n['b1'][p, :];
    q['W2'] = n['W2'][:, p];
    q['b2'] = n['b2'].copy();
    return q


def matchWeights(a, b):
    # MATCHWEIGHTS  permutation of b that is nearest to a in weight space
    S = a['W1'] @ b['W1'].T + a['b1'] @ b['b1'].T + a['W2'].T @ b['W2'];
    r, p = linear_sum_assignment(-S);
    return p


def matchActivations(a, b, X):
    # MATCHACTIVATIONS  permutation of b by correlation of hidden activations
    A = hidden(a, X);  B = hidden(b, X);
    A = A - A.mean(1, keepdims=True);
    B = B - B.mean(1, keepdims=True);
    A = A/(np.sqrt((A**2).sum(1, keepdims=True)) + 1e-9);
    B = B/(np.sqrt((B**2).sum(1, keepdims=True)) + 1e-9);
    r, p = linear_sum_assignment(-(A @ B.T));
    return p


def matchRandom(a, b, rs):
    # control
    return rs.permutation(a['W1'].shape[0])


def moved(p):
    # share of units that do not stay where they are
    return float(np.mean(p != np.arange(len(p))))
