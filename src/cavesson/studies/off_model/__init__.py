"""The study `off-model-sft`: why SFT on another model's answers costs capability, and what to do about it."""
