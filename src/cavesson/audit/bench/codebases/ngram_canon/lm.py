#!/usr/bin/env python3
"""
Bigram language models with four ways of smoothing. Standard library only.

A model is trained on a list of sentences (lists of words) and gives p(word | previous word).
"""
from collections import Counter, defaultdict
import math

BOS, EOS, UNK = '<s>', '</s>', '<unk>'


def words_with_ends(sent):
    return [BOS] + sent + [EOS]


class Vocab:
    """keeps words that occur at least min_count times; the rest is UNK"""

    def __init__(self, sents, min_count):
        c = Counter(w for s in sents for w in s)
        self.words = {w for w, n in c.items() if n >= min_count}
        # everything that can be predicted
        self.size = len(self.words) + 2

    def map(self, sent):
        return [w if w in self.words else UNK for w in sent]


class Counts:
    """unigram and bigram counts, and the counts of counts that Kneser-Ney needs"""

    def __init__(self, sents):
        self.uni = Counter()
        self.ctx = Counter()
        self.bi = defaultdict(Counter)
        for s in sents:
            ws = words_with_ends(s)
            for a, b in zip(ws, ws[1:]):
                self.uni[b] += 1
                self.ctx[a] += 1
                self.bi[a][b] += 1
        self.total = sum(self.uni.values())
        # number of different contexts of a word
        self.left = Counter()
        for s in sents:
            self.left.update(set(words_with_ends(s)[1:]))
        self.bigram_types = sum(self.left.values())
        self.n = Counter(n for row in self.bi.values() for n in row.values())

    def discount(self):
        """Ney, Essen & Kneser's estimate n1 / (n1 + 2 n2)"""
        n1, n2 = self.n[1], self.n[2]
        return n1 / (n1 + 2 * n2) if n1 else 0.5


class Smoother:
    name = None

    def __init__(self, counts, vocab_size, **kw):
        self.c = counts
        self.V = vocab_size
        self.setup(**kw)

    def setup(self):
        pass

    def p(self, b, a):
        raise NotImplementedError


class AddK(Smoother):
    """Lidstone's law"""
    name = 'add_k'

    def setup(self, k=1.0):
        self.k = k

    def p(self, b, a):
        row = self.c.bi.get(a)
        n = row[b] if row else 0
        return (n + self.k) / (self.c.ctx[a] + self.k * self.V)


class JelinekMercer(Smoother):
    """linear interpolation with the unigram model"""
    name = 'interpolated'

    def setup(self, lam=0.5):
        self.lam = lam

    def p_uni(self, b):
        return (self.c.uni[b] + 1) / (self.c.total + self.V)

    def p(self, b, a):
        row = self.c.bi.get(a)
        if not row:
            return self.p_uni(b)
        return (1 - self.lam) * row[b] / self.c.ctx[a] + self.lam * self.p_uni(b)


class AbsoluteDiscount(JelinekMercer):
    """subtracts D from every seen bigram and gives what is left to a lower-order distribution"""
    name = 'discount'

    def setup(self, D=None):
        self.D = self.c.discount() if D is None else D

    def lower(self, b):
        return self.p_uni(b)

    def p(self, b, a):
        row = self.c.bi.get(a)
        if not row:
            return self.lower(b)
        n = self.c.ctx[a]
        return max(row[b] - self.D, 0) / n + self.D * len(row) / n * self.lower(b)


class KneserNey(AbsoluteDiscount):
    """lower order: in how many contexts has the word been seen, rather than how often"""
    name = 'kneser_ney'

    def lower(self, b):
        return (self.c.left[b] + 1) / (self.c.bigram_types + self.V)


SMOOTHERS = [AddK, JelinekMercer, AbsoluteDiscount, KneserNey]

GRIDS = {
    'add_k': [{'k': k} for k in (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)],
    'interpolated': [{'lam': x / 10} for x in range(1, 10)],
    'discount': [{'D': x / 10} for x in range(1, 10)],
    'kneser_ney': [{'D': x / 10} for x in range(1, 10)],
}


def logprob(model, sents):
    """sum of natural log probabilities, and number of predicted words"""
    total, n = 0.0, 0
    for s in sents:
        ws = words_with_ends(s)
        for a, b in zip(ws, ws[1:]):
            total += math.log(model.p(b, a))
            n += 1
    return total, n


def perplexity(model, sents):
    lp, n = logprob(model, sents)
    return math.exp(-lp / n)


def check_sums(model, vocab, contexts):
    """probabilities over the vocabulary must add up to one"""
    for a in contexts:
        s = sum(model.p(b, a) for b in list(vocab.words) + [UNK, EOS])
        assert abs(s - 1) < 1e-6, '%s: p(. | %s) sums to %f' % (model.name, a, s)
