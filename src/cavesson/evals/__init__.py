"""Benchmarks, behaviours, trigger pairs, and the recipes that score models."""
