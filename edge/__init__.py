"""The daemon and the command line of the logger."""

__version__ = "0.1.0"
