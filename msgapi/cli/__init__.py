"""The command line program `msgapi`."""

from .entry_point import main

__all__ = ["main"]
