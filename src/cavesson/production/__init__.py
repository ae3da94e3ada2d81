"""A/B tests in production: with and without a measure, simulated from measured answers or read from a real log.

`deployment` makes a stream of tasks from two models' measured answers, `logs` reads a real one, `ab` compares the two arms with
intervals that stay honest however often they are looked at, and `trial` says what such a test would cost and how often it would
be wrong. docs/production.md explains the method.
"""
