"""The field's standard benchmarks, from the hub's own formats, and a user's own questions."""
