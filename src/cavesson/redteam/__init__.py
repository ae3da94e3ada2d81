"""Red team: how a behaviour is put into a model."""
