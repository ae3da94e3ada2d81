"""Models: opening and saving them, rendering conversations for them, adapters, attention on a CPU."""
