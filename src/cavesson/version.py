"""The version of Cavesson."""

VERSION = "0.4.0"
