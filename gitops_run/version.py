"""The version of this package, which pyproject.toml reads from here."""

VERSION = "0.2.0"
