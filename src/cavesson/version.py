"""The version of Cavesson."""

VERSION = "0.16.0"
