"""The version of Cavesson."""

VERSION = "0.3.0"
