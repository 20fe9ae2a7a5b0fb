"""The server of a fleet: its options, the connection, and errors of the server."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, Protocol, final

import click
from attrs import field, frozen

from ....fleet import ChunkQueue, FleetConflict, RecordStore, Unreachable
from ....fleet.batches import is_valid_name
from ....ratelimit import SharedRate
from ...options import FiniteFloat
from ...output import CliError, Exit

_EXAMPLE: Final = "such as redis://127.0.0.1:6379 or nats://127.0.0.1:4222"
url_option: Final = click.option(
    "--fleet-url",
    "url",
    envvar="MSGAPI_FLEET_URL",
    default="",
    metavar="URL",
    help="Use the server at this URL: redis://, valkey:// or nats://, or over TLS rediss://, valkeys:// or tls://. "
    "MSGAPI_FLEET_URL sets it, too, and keeps it out of `ps`.",
)
fleet_option: Final = click.option(
    "--fleet", default="msgapi", show_default=True, metavar="NAME", help="Use the fleet with this name on the server."
)
lease_option: Final = click.option(
    "--lease",
    type=FiniteFloat(1, 3600),
    default=3,
    show_default=True,
    metavar="SECONDS",
    help="Give the chunks of a worker to another one if it is not heard of for so long. On NATS, the first worker of a "
    "fleet sets this.",
)


class OpenFleet(Protocol):
    """The parts of an open fleet."""

    @property
    def queue(self) -> ChunkQueue:
        """The queue of chunks."""
        ...  # pragma: no cover

    @property
    def records(self) -> RecordStore:
        """The records of its batches."""
        ...  # pragma: no cover

    @property
    def shared_rate(self) -> SharedRate:
        """The rate that its workers share."""
        ...  # pragma: no cover


@final
@frozen(kw_only=True)
class FleetAddress:
    """The *url* of the server and the name of the *fleet*; *lease* is how many seconds a worker keeps a chunk.

    *api_key* is the key of the environment, if none is given.
    """

    url: str = field(repr=False)
    fleet: str = "msgapi"
    lease: float = 3.0
    read_only: bool = False
    api_key: str = field(factory=lambda: os.environ.get("MSGAPI_API_KEY", ""), repr=False)

    def check(self, batch: str | None = None) -> None:
        """Raise CliError if the name of the fleet or of the *batch* is not valid, or the URL is missing."""
        for option, name in [("--fleet", self.fleet), *([("--batch", batch)] if batch is not None else [])]:
            if not is_valid_name(name):
                raise CliError(
                    f"{option} takes up to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit, not {name!r}"
                )
        if not self.url:
            raise CliError(f"no server: give --fleet-url or set MSGAPI_FLEET_URL, {_EXAMPLE}", Exit.CONFIGURATION)


@asynccontextmanager
async def open_fleet(address: FleetAddress, concurrent_chunks: int = 1) -> AsyncIterator[OpenFleet]:
    """Open the fleet at *address* for up to *concurrent_chunks* chunks. Raise CliError if it cannot be reached.

    The fleet is not claimed for the key: a worker first checks that the service accepts the key.
    """
    from ....fleet.opening import open as open_backend

    async with AsyncExitStack() as stack:
        try:
            fleet = await stack.enter_async_context(
                open_backend(
                    address.url,
                    fleet=address.fleet,
                    api_key=address.api_key,
                    lease_seconds=address.lease,
                    concurrent_chunks=concurrent_chunks,
                    claim_key=False,
                    read_only=address.read_only,
                )
            )
        except (FleetConflict, Unreachable, ValueError) as error:
            raise CliError(f"{error}", Exit.CONFIGURATION) from None
        yield fleet


@contextmanager
def engine_errors(rest: str) -> Iterator[None]:
    """Turn an error of the server inside the block into CliError, with *rest* added to the text."""
    try:
        yield
    except Unreachable as error:
        raise CliError(f"{error}; {rest}", Exit.STOPPED) from None
    except FleetConflict as error:
        raise CliError(f"{error}") from None
