"""The command line program `msgapi`."""

from .output import main

__all__ = ["main"]
