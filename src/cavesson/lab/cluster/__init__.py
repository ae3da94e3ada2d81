"""Executors on many machines: Ray and SLURM. Each is one file, and imports its library when it begins."""
