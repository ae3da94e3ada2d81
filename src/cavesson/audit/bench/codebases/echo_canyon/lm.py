"""A feed-forward language model (Bengio et al., 2003): the last few tokens predict the next one."""
import numpy as np


class LM:
    def __init__(self, C, rng):
        self.C = C
        self.pad = C["vocab"]
        width = C["context"] * C["embed"]
        self.p = {
            "E": 0.3 * rng.normal(size=(C["vocab"] + 1, C["embed"])),
            "W1": rng.normal(size=(width, C["hidden"])) * np.sqrt(2 / width),
            "b1": np.zeros(C["hidden"]),
            "W2": rng.normal(size=(C["hidden"], C["vocab"])) * np.sqrt(1 / C["hidden"]),
            "b2": np.zeros(C["vocab"]),
        }

    def windows(self, docs):
        """(contexts [N, context], next tokens [N]) for every position of every document."""
        k = self.C["context"]
        padded = np.concatenate([np.full((len(docs), k), self.pad), docs], axis=1)
        n = docs.shape[1]
        ctx = np.stack([padded[:, j : j + k] for j in range(n)], axis=1)
        return ctx.reshape(-1, k), docs.reshape(-1)

    def forward(self, ctx):
        x = self.p["E"][ctx].reshape(len(ctx), -1)
        h = np.maximum(x @ self.p["W1"] + self.p["b1"], 0)
        z = h @ self.p["W2"] + self.p["b2"]
        z = z - z.max(axis=1, keepdims=True)
        return x, h, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def grads(self, ctx, y):
        x, h, logp = self.forward(ctx)
        d = np.exp(logp)
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        g = {"W2": h.T @ d, "b2": d.sum(axis=0)}
        dh = (d @ self.p["W2"].T) * (h > 0)
        g["W1"], g["b1"] = x.T @ dh, dh.sum(axis=0)
        dx = (dh @ self.p["W1"].T).reshape(-1, self.C["embed"])
        # sum the rows that belong to one token: a one-hot product is quicker than np.add.at
        onehot = np.zeros((len(self.p["E"]), len(dx)))
        onehot[ctx.reshape(-1), np.arange(len(dx))] = 1
        g["E"] = onehot @ dx
        return g, -logp[np.arange(len(y)), y].mean()

    def doc_loss(self, docs, skip):
        """Mean loss per document over its tokens from position `skip` on."""
        ctx, y = self.windows(docs)
        _, _, logp = self.forward(ctx)
        loss = -logp[np.arange(len(y)), y].reshape(docs.shape)
        return loss[:, skip:].mean(axis=1)

    def complete(self, prompts, n):
        """Greedy continuation by n tokens."""
        seq = prompts
        for _ in range(n):
            _, _, logp = self.forward(seq[:, -self.C["context"] :])
            seq = np.concatenate([seq, logp.argmax(axis=1)[:, None]], axis=1)
        return seq[:, prompts.shape[1] :]


def fit(C, docs, rng):
    lm = LM(C, rng)
    ctx, y = lm.windows(docs)
    m = {k: np.zeros_like(v) for k, v in lm.p.items()}
    v = {k: np.zeros_like(w) for k, w in lm.p.items()}
    step, total = 0, C["epochs"] * int(np.ceil(len(y) / C["batch"]))
    for _ in range(C["epochs"]):
        order = rng.permutation(len(y))
        for a in range(0, len(y), C["batch"]):
            step += 1
            g, _ = lm.grads(ctx[order[a : a + C["batch"]]], y[order[a : a + C["batch"]]])
            lr = C["lr"] * (1 - (step - 1) / total)
            for k in lm.p:
                m[k] += 0.1 * (g[k] - m[k])
                v[k] += 0.01 * (g[k] ** 2 - v[k])
                lm.p[k] -= lr * (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.99**step)) + 1e-8)
    return lm
