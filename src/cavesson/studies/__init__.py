"""Studies: functions from a validated config to recipes and an analysis of their results."""
