"""Samplers, the generation cache, and data that models write."""
