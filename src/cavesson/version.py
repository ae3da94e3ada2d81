"""The version of Cavesson."""

VERSION = "0.8.0"
