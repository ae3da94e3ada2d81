"""Looking inside a model: activations, probes, gradients, and what the linearised network foretells of a training."""
