"""Everything that a config can name is registered here."""


class Registry:
    def __init__(self, kind):
        self.kind = kind
        self._entries = {}

    def register(self, name):
        def add(thing):
            if name in self._entries:
                raise KeyError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = thing
            return thing

        return add

    def build(self, cfg, **extra):
        """cfg: {name: ..., other keys become arguments}"""
        cfg = dict(cfg)
        name = cfg.pop("name")
        if name not in self._entries:
            raise KeyError(f"unknown {self.kind} {name!r}, known: {sorted(self._entries)}")
        return self._entries[name](**cfg, **extra)


DATASETS = Registry("dataset")
MODELS = Registry("model")
OPTIMISERS = Registry("optimiser")
SCHEDULES = Registry("schedule")
TRACKERS = Registry("tracker")
