"""Streams: the three that every program has, whoever started it without."""

import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def fill() -> None:
    """Lead each of the three that is closed nowhere.

    The next file or socket to be opened would take its number, and what is printed would end up there.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            _ = os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            setattr(sys, name, os.fdopen(nowhere, mode))
