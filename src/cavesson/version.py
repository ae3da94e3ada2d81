"""The version of Cavesson."""

VERSION = "0.5.0"
