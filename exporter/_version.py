"""The version of this package, imported by everything that tells it."""

__version__ = "0.1.0"
