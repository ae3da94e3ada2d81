"""Models: loading and saving, rendering of conversations, adapters, attention on a CPU."""
