"""The version of Cavesson."""

VERSION = "0.6.0"
