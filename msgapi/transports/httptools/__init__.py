"""A transport over asyncio's sockets, with httptools as the parser: the one with the least CPU time per call."""

from ...config import missing_extra

try:
    from .transport import open  # noqa: A004 - `transports.httptools.open`
except ModuleNotFoundError as error:
    raise missing_extra(error, "transports.httptools", "fast") from None

__all__ = ["open"]
