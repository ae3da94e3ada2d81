"""The version of Cavesson."""

VERSION = "0.15.0"
