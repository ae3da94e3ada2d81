"""Samplers, the generation cache, likelihoods, and data that models write."""
