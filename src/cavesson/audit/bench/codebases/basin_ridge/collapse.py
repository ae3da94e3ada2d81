import numpy as np
from net import hidden, lerp


def spread(n, X):
    # SPREAD  standard deviation of each hidden unit over samples
    return hidden(n, X).std(1)


def collapse(a, b, X):
    # COLLAPSE  mean spread of the units half way, relative to the two ends
    #   1    units vary as much as at the ends
    #   <1   unlike units were averaged and cancel
    mid = spread(lerp(a, b, 0.5), X).mean();
    ends = 0.5*(spread(a, X).mean() + spread(b, X).mean());
    return float(mid/(ends + 1e-12));
