"""Data sets: sources of conversations, mixtures, filters and rewritings."""
