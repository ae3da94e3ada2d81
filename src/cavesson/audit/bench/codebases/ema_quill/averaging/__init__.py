from . import data, models, optimisers, schedules, trackers  # noqa: F401  (fills the registries)
