"""Blue team: how a model is trained by a team that does not know the model's trigger."""
