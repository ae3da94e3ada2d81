import numpy as np

# A net is a dict with W1 (H x D), b1 (H x 1), W2 (K x H), b2 (K x 1)
NAMES = ['W1', 'b1', 'W2', 'b2'];


def initNet(D, H, K, rs):
    n = {};
    n['W1'] = rs.randn(H, D)*np.sqrt(2/D);
    n['b1'] = np.zeros((H, 1));
    n['W2'] = rs.randn(K, H)*np.sqrt(1/H);
    n['b2'] = np.zeros((K, 1));
    return n


def copyNet(n):
    return {k: n[k].copy() for k in NAMES}


def hidden(n, X):
    return np.maximum(n['W1'] @ X + n['b1'], 0)


def forward(n, X):
    A = n['W2'] @ hidden(n, X) + n['b2'];
    A = A - A.max(0);
    P = np.exp(A);
    return P/P.sum(0)


def lossAcc(n, X, T):
    P = forward(n, X);
    L = -np.mean(np.log(P[T, np.arange(len(T))] + 1e-12));
    return L, np.mean(P.argmax(0) == T)


def gradNet(n, X, Y):
    N = X.shape[1];
    Z = hidden(n, X);
    A = n['W2'] @ Z + n['b2'];
    A = A - A.max(0);
    P = np.exp(A);  P = P/P.sum(0);
    dA = (P - Y)/N;
    dZ = (n['W2'].T @ dA)*(Z > 0);
    return {'W2': dA @ Z.T, 'b2': dA.sum(1, keepdims=True),
            'W1': dZ @ X.T, 'b1': dZ.sum(1, keepdims=True)}


def norm(n):
    return np.sqrt(sum((n[k]**2).sum() for k in NAMES))


def dist(n, m):
    return np.sqrt(sum(((n[k] - m[k])**2).sum() for k in NAMES))


def lerp(n, m, t):
    # straight line from n (t=0) to m (t=1)
    return {k: (1-t)*n[k] + t*m[k] for k in NAMES}
