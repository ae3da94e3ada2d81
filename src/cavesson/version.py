"""The version of Cavesson."""

VERSION = "0.11.0"
