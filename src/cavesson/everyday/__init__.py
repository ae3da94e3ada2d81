"""Everyday English, written for Cavesson: what real chat models are asked."""
