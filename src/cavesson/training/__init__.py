"""Training: one engine for every objective, optimizer and adapter, and the recipes for trained models."""
