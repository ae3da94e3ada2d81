#!/usr/bin/env python
# coding: utf-8

# # Mean-encoding a high-cardinality column
#
# Notebook exported with nbconvert. Cells run top to bottom; nothing depends on a cell further down.

# In[1]:


import json
import os
import sys

import numpy as np
import pandas as pd

pd.set_option('display.width', 140)
pd.set_option('display.max_columns', 20)


# In[2]:


# parameters (papermill style: overwritten from the command line below)
SEED = 0
OUT = 'out'
N_ROWS = 12000
N_SHOPS = 900
ZIPF = 0.8
SHOP_SD = 0.8
N_FOLDS = 5
RIDGE = 1.0
SMOOTHINGS = [0, 2, 5, 10, 20, 50, 100]


# In[3]:


argv = sys.argv[1:]
if '--seed' in argv:
    SEED = int(argv[argv.index('--seed') + 1])
if '--out' in argv:
    OUT = argv[argv.index('--out') + 1]
os.makedirs(OUT, exist_ok=True)
np.random.seed(SEED)
rng = np.random.RandomState(1000 + SEED)
print('seed', SEED, '->', OUT)


# ## 1. Data
#
# One row per order. `shop` has many levels with very uneven counts, every shop shifts the log-odds of a return.

# In[4]:


weights = 1.0 / np.arange(1, N_SHOPS + 1) ** ZIPF
weights = weights / weights.sum()
shop_effect = rng.normal(0, SHOP_SD, N_SHOPS)

df = pd.DataFrame({
    'shop': rng.choice(N_SHOPS, N_ROWS, p=weights),
    'price': rng.gamma(2.0, 30.0, N_ROWS),
    'days': rng.poisson(4, N_ROWS),
    'items': 1 + rng.poisson(0.8, N_ROWS),
    'weekend': (rng.rand(N_ROWS) < 2 / 7).astype(int),
})
df.head()


# In[5]:


logit = (
    -0.6
    + 0.35 * (np.log(df['price']) - np.log(df['price']).mean())
    + 0.12 * (df['days'] - 4)
    - 0.15 * df['weekend']
    + shop_effect[df['shop']]
)
df['returned'] = (rng.rand(N_ROWS) < 1 / (1 + np.exp(-logit))).astype(int)
df['shop'] = 's' + df['shop'].astype(str).str.zfill(4)
print(df['returned'].mean().round(3), 'returned;', df['shop'].nunique(), 'shops seen')


# In[6]:


# split by row, half and half
is_train = pd.Series(rng.permutation(len(df)) < len(df) // 2, index=df.index)
train = df[is_train].copy()
test = df[~is_train].copy()
print(len(train), 'train rows', len(test), 'test rows')


# In[7]:


counts = train['shop'].value_counts()
counts.describe()


# In[8]:


tmp = pd.cut(counts, [0, 1, 2, 5, 10, 50, 10000]).value_counts().sort_index()
tmp


# ## 2. Encoders
#
# Every encoder gives a column of log-odds-like numbers. Test rows are always encoded from all train rows.

# In[9]:


PRIOR = train['returned'].mean()


def shop_means(frame, m=0.0):
    """mean of the target per shop, pulled to the global mean by m pseudo rows"""
    g = frame.groupby('shop')['returned'].agg(['sum', 'count'])
    return (g['sum'] + m * PRIOR) / (g['count'] + m)


def to_logit(p, eps=0.02):
    p = p.clip(eps, 1 - eps)
    return np.log(p / (1 - p))


# In[10]:


def encode_test(frame, m=0.0):
    return to_logit(frame['shop'].map(shop_means(train, m)).fillna(PRIOR))


def encode_insample(m=0.0):
    # every row takes part in the mean of its own shop
    return to_logit(train['shop'].map(shop_means(train, m)))


# In[11]:


# folds: rows are in random order already, but shuffle once more so that folds do not follow the file
order = rng.permutation(len(train))
fold = pd.Series(np.arange(len(train)) % N_FOLDS, index=train.index[order])
fold.value_counts()


# In[12]:


def encode_oof(m=0.0):
    parts = []
    for k in range(N_FOLDS):
        inside = train.loc[fold.index[fold == k]]
        outside = train.loc[fold.index[fold != k]]
        parts.append(inside['shop'].map(shop_means(outside, m)).fillna(PRIOR))
    enc = to_logit(pd.concat(parts))
    return enc.reindex(train.index)


# ## 3. Model
#
# Plain logistic regression, Newton steps, a little ridge. Columns are standardised with train statistics.

# In[13]:


NUMERIC = ['price', 'days', 'items', 'weekend']


def design(frame, enc=None):
    X = frame[NUMERIC].astype(float).copy()
    X['price'] = np.log(X['price'])
    if enc is not None:
        X['shop_enc'] = np.asarray(enc)
    return X


def fit_logreg(X, y, ridge=RIDGE, steps=25):
    mu, sd = X.mean(), X.std()
    sd[sd == 0] = 1.0
    Z = np.column_stack([np.ones(len(X)), ((X - mu) / sd).values])
    y = np.asarray(y, float)
    pen = ridge * np.eye(Z.shape[1])
    pen[0, 0] = 0.0
    w = np.zeros(Z.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-Z @ w))
        grad = Z.T @ (p - y) + pen @ w
        hess = (Z * (p * (1 - p))[:, None]).T @ Z + pen
        step = np.linalg.solve(hess, grad)
        w = w - step
        if np.abs(step).max() < 1e-8:
            break
    return {'w': w, 'mu': mu, 'sd': sd, 'columns': list(X.columns)}


def predict(model, X):
    Z = ((X[model['columns']] - model['mu']) / model['sd']).values
    return 1 / (1 + np.exp(-(model['w'][0] + Z @ model['w'][1:])))


# In[14]:


def auc(y, p):
    r = pd.Series(np.asarray(p)).rank()      # ties get the mean rank
    y = np.asarray(y)
    n1 = y.sum()
    n0 = len(y) - n1
    return float((r[y == 1].sum() - n1 * (n1 + 1) / 2) / (n0 * n1))


def logloss(y, p):
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-np.mean(np.where(np.asarray(y) == 1, np.log(p), np.log(1 - p))))


# ## 4. The three arms

# In[15]:


arms = {
    'none': (None, None),
    'insample': (encode_insample(), encode_test(test)),
    'oof': (encode_oof(), encode_test(test)),
}

results = {'auc': {}, 'auc_train': {}, 'logloss': {}, 'coef': {}}
preds = []
for name, (enc_tr, enc_te) in arms.items():
    Xtr, Xte = design(train, enc_tr), design(test, enc_te)
    model = fit_logreg(Xtr, train['returned'])
    p_tr, p_te = predict(model, Xtr), predict(model, Xte)
    results['auc'][name] = auc(test['returned'], p_te)
    results['auc_train'][name] = auc(train['returned'], p_tr)
    results['logloss'][name] = logloss(test['returned'], p_te)
    results['coef'][name] = float(model['w'][-1]) if enc_tr is not None else 0.0
    preds.append(pd.DataFrame({
        'arm': name, 'seed': SEED, 'split': 'test', 'index': test.index,
        'label': test['returned'].values, 'prediction': (p_te > 0.5).astype(int), 'score': p_te.round(4),
    }).iloc[:250])

pd.DataFrame({k: v for k, v in results.items()}).round(4)


# In[16]:


# how much of it is there by how often a shop was seen in train
buckets = pd.cut(test['shop'].map(counts).fillna(0), [-1, 2, 8, 1e9], labels=['rare', 'middle', 'frequent'])
results['auc_by_count'] = {}
for name, (enc_tr, enc_te) in arms.items():
    model = fit_logreg(design(train, enc_tr), train['returned'])
    p = pd.Series(predict(model, design(test, enc_te)), index=test.index)
    results['auc_by_count'][name] = {
        b: auc(test.loc[buckets == b, 'returned'], p[buckets == b]) for b in ['rare', 'middle', 'frequent'] if (buckets == b).sum() > 50
    }
results['auc_by_count']


# ## 5. Does smoothing do the same job?

# In[17]:


rows = []
for m in SMOOTHINGS:
    for kind, enc in (('insample', encode_insample), ('oof', encode_oof)):
        model = fit_logreg(design(train, enc(m)), train['returned'])
        rows.append({'m': m, 'kind': kind, 'auc': auc(test['returned'], predict(model, design(test, encode_test(test, m))))})
sweep = pd.DataFrame(rows).pivot(index='m', columns='kind', values='auc')
results['smoothing'] = {kind: {str(m): float(v) for m, v in sweep[kind].items()} for kind in sweep}
sweep.round(3)


# In[18]:


results['rows'] = {'train': int(len(train)), 'test': int(len(test)), 'shops': int(df['shop'].nunique())}
results['unseen'] = float((~test['shop'].isin(counts.index)).mean())
results['prior'] = float(PRIOR)
print(results['rows'], 'unseen in train: %.3f' % results['unseen'])


# In[19]:


# figure by hand, the environment has no matplotlib
W, H, L, B = 460, 260, 50, 40
lo, hi = sweep.values.min() - 0.01, sweep.values.max() + 0.01


def xy(i, v):
    return L + i * (W - L - 20) / (len(sweep) - 1), H - B - (v - lo) / (hi - lo) * (H - B - 20)


svg = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">' % (W, H)]
for kind, color in (('insample', '#c44e52'), ('oof', '#4c72b0')):
    pts = ' '.join('%.1f,%.1f' % xy(i, v) for i, v in enumerate(sweep[kind]))
    svg.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (pts, color))
    svg.append('<text x="%d" y="%.1f" fill="%s" text-anchor="end">%s</text>' % (W - 22, xy(0, sweep[kind].iloc[-1])[1] - 5, color, kind))
for i, m in enumerate(sweep.index):
    svg.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (xy(i, lo)[0], H - B + 15, m))
for v in (lo, hi):
    svg.append('<text x="%d" y="%.1f" text-anchor="end">%.2f</text>' % (L - 5, xy(0, v)[1] + 4, v))
svg.append('<text x="%d" y="%d" text-anchor="middle">pseudo rows m</text></svg>' % (W // 2, H - 6))
with open(os.path.join(OUT, 'smoothing.svg'), 'w') as fh:
    fh.write('\n'.join(svg) + '\n')


# In[20]:


pd.concat(preds).to_csv(os.path.join(OUT, 'predictions.csv'), index=False, lineterminator='\n')
with open(os.path.join(OUT, 'results.json'), 'w') as fh:
    json.dump(results, fh, indent=1)
    fh.write('\n')


# In[21]:


for name in arms:
    print('%-10s test AUC %.3f   train AUC %.3f   log loss %.3f' % (
        name, results['auc'][name], results['auc_train'][name], results['logloss'][name]))
print(sweep.round(3).to_string())
