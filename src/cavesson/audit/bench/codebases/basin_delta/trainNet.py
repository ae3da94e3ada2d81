import numpy as np
from net import initNet, gradNet, NAMES
from makeData import oneHot


def trainNet(X, T, H, K, opt, rsInit, rsBatch):
    # TRAINNET  Adam on softmax cross entropy
    #   opt.epochs, opt.batch, opt.lr, opt.wd   (wd is decoupled)
    n = initNet(X.shape[0], H, K, rsInit);
    Y = oneHot(T, K);
    N = X.shape[1];
    m = {k: 0*n[k] for k in NAMES};
    v = {k: 0*n[k] for k in NAMES};
    it = 0;
    total = opt['epochs']*(N//opt['batch']);
    for ep in range(opt['epochs']):
        p = rsBatch.permutation(N);
        for i in range(N//opt['batch']):
            idx = p[i*opt['batch']:(i+1)*opt['batch']];
            g = gradNet(n, X[:, idx], Y[:, idx]);
            it = it + 1;
            lr = opt['lr']*0.5*(1 + np.cos(np.pi*it/total));    # cosine
            for k in NAMES:
                m[k] = 0.9*m[k] + 0.1*g[k];
                v[k] = 0.999*v[k] + 0.001*g[k]**2;
                mh = m[k]/(1 - 0.9**it);
                vh = v[k]/(1 - 0.999**it);
                n[k] = n[k] - lr*(mh/(np.sqrt(vh) + 1e-8) + opt['wd']*n[k]);
            # end
        # end
    return n
