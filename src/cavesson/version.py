"""The version of Cavesson."""

VERSION = "0.18.0"
