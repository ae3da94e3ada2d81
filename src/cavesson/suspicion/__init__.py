"""Audits of a model: what makes a model suspicious, and how much a suspicion is worth."""
