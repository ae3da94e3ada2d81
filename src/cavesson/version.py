"""The version of Cavesson."""

VERSION = "0.7.0"
