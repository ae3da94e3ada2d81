"""The version of Cavesson."""

VERSION = "0.12.0"
