"""The tiny world: a synthetic chat corpus, its task families with held-out items, and the small models trained on it."""
