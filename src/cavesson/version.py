"""The version of Cavesson."""

VERSION = "0.13.0"
