#!/usr/bin/env python3
"""
An artificial corpus with what matters for smoothing: Zipfian words, words that are bound to a single
predecessor ("San Francisco"), and topics.
"""
import random


def zipf(n, s):
    w = [1 / (i + 1) ** s for i in range(n)]
    t = sum(w)
    return [x / t for x in w]


class Language:
    def __init__(self, seed, n_words=1500, n_classes=40, n_bound=120, exponent=1.0):
        r = random.Random(seed * 7919 + 1)
        self.words = ['w%04d' % i for i in range(n_words)]
        freq = zipf(n_words, exponent)
        # classes of words, class-to-class transitions
        self.cls = [r.randrange(n_classes) for _ in range(n_words)]
        self.members = [[i for i in range(n_words) if self.cls[i] == k] for k in range(n_classes)]
        self.member_w = [[freq[i] for i in m] for m in self.members]
        self.trans = []
        for k in range(n_classes):
            likely = r.sample(range(n_classes), 6)
            self.trans.append([1.0 if j in likely else 0.02 for j in range(n_classes)])
        # bound pairs: the second word occurs after the first word and nowhere else
        heads = r.sample(range(5, n_words // 4), n_bound)
        self.bound = {h: 'b%03d' % j for j, h in enumerate(heads)}

    def sentence(self, r):
        k = r.randrange(len(self.members))
        out = []
        for _ in range(r.randint(6, 18)):
            while not self.members[k]:
                k = r.randrange(len(self.members))
            i = r.choices(self.members[k], self.member_w[k])[0]
            out.append(self.words[i])
            if i in self.bound and r.random() < 0.8:
                out.append(self.bound[i])
            k = r.choices(range(len(self.trans)), self.trans[k])[0]
        return out

    def sample(self, n, seed):
        r = random.Random(seed)
        return [self.sentence(r) for _ in range(n)]


def describe(sents):
    toks = sum(len(s) for s in sents)
    types = len({w for s in sents for w in s})
    return {'sentences': len(sents), 'tokens': toks, 'types': types}
