"""The version of Cavesson."""

VERSION = "0.9.0"
