"""The command line program `msgapi`."""

from .outcomes import main

__all__ = ["main"]
