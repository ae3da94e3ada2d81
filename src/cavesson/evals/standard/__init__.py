"""The field's standard benchmarks in the hub's own formats, and a user's own questions."""
