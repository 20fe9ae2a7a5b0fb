"""A transport over asyncio's sockets, with httptools as the parser: the one with the least CPU time per call."""

from ...config import needing_extra

with needing_extra("transports.httptools", "fast", "httptools", "aiohappyeyeballs"):
    from .transport import open  # noqa: A004 - `transports.httptools.open`

__all__ = ["open"]
