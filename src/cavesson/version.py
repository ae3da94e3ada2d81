"""The version of Cavesson."""

VERSION = "0.10.0"
