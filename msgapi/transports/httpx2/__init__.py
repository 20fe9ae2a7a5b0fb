"""A transport over httpx2, on asyncio and on trio."""

from ...config import missing_extra

try:
    from .transport import open  # noqa: A004 - `transports.httpx2.open`
except ModuleNotFoundError as error:
    raise missing_extra(error, "transports.httpx2", "trio") from None

__all__ = ["open"]
