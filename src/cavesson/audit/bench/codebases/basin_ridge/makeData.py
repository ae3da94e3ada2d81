import numpy as np


def makeData(N, K, D, noise, rs):
    # MAKEDATA  two rings of bumps, K classes, D inputs
    #   X  D x N  inputs (columns are samples!)
    #   T  N      class numbers 0..K-1
    M = 4;                                  # bumps per class
    C = rs.randn(D, K*M);
    C = C / np.sqrt((C**2).sum(0));         # on the sphere
    j = rs.randint(0, K*M, N);
    X = C[:, j] + noise*rs.randn(D, N);
    T = j % K;
    return X, T, C


def moreData(N, K, C, noise, rs):
    # MOREDATA  fresh samples from the same bumps
    j = rs.randint(0, C.shape[1], N);
    X = C[:, j] + noise*rs.randn(C.shape[0], N);
    return X, j % K


def oneHot(T, K):
    Y = np.zeros((K, len(T)));
    Y[T, np.arange(len(T))] = 1;
    return Y
