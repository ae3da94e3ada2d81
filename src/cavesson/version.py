"""The version of Cavesson."""

VERSION = "0.14.0"
