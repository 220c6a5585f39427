"""holo: a registry of signed names."""

__version__ = "0.1.0"
