"""The version of Cavesson."""

VERSION = "0.17.0"
