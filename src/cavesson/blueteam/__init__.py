"""Blue team: what is done to a model by those who do not know its trigger."""
