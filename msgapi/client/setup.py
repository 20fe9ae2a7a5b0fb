"""Setup: what a client needs in order to open, which are its key, its base URL and its transport."""

import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast, final

from anyio.lowlevel import current_token
from attrs import define, field

from ..config import Misconfigured, check_url, is_unopened, key_problem
from ..transports import Transport
from ..transports.common.proxy import FROM_ENVIRONMENT, read_proxies
from ..version import VERSION
from .lifetime import Lifetime, OpenTransport, open_transport

BASE_URL: Final = "https://api.arowana.app"
MAX_CONNECTIONS: Final = 100
_SANDBOX_KEY: Final = "sk_sandbox"


@final
@define(eq=False, repr=False)
class ClientSetup:
    """The arguments of a client that are used when it opens, and what follows from them.

    *given* is the transport that was passed in. *connections* are the options of the default transport.
    """

    api_key: str | None
    base_url: str | None
    given: Transport | AbstractAsyncContextManager[Transport] | None
    connections: dict[str, Any]
    app_name: str | None
    allow_http: tuple[str, ...] = ()
    transport: Transport | None = None
    lifetime: Lifetime = field(factory=Lifetime, init=False)

    @property
    def is_sandbox(self) -> bool:
        """Whether no real messages are sent: the transport is a sandbox, or the key is that of one on a socket."""
        return getattr(self.given, "is_sandbox", False) or self.api_key == _SANDBOX_KEY

    async def open(self) -> OpenTransport | None:
        """Read the environment, and open the transport if it is not open; return what must be closed with the client.

        Raise Misconfigured if there is no API key, or if an environment variable is unsafe.
        """
        if self.base_url is None:
            self.base_url = check_url(os.environ.get("MSGAPI_BASE_URL") or BASE_URL, self.allow_http)
        self.api_key = self.api_key or os.environ.get("MSGAPI_API_KEY")
        if (problem := key_problem(self.api_key)) is not None:
            raise problem
        given = self.given
        if given is not None and not is_unopened(given):
            self.transport = cast("Transport", given)
            return None
        if given is None:
            self._check_proxy()
        manager = _default_transport(self.connections) if given is None else given
        opened, self.transport = await open_transport(
            cast("AbstractAsyncContextManager[Transport]", manager), "msgapi.Client"
        )
        return opened

    def _check_proxy(self) -> None:
        from yarl import URL

        rules = read_proxies(self.connections.get("proxy", FROM_ENVIRONMENT), os.environ)
        proxy = None if rules is None else rules.choose(URL(f"{self.base_url}"))
        if proxy is not None and proxy.problem:
            raise Misconfigured(proxy.problem)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of every request."""
        program = "" if self.app_name is None else f" {self.app_name}"
        return {
            "Authorization": f"Bearer {self.api_key}",
            "Accept": "application/json",
            "User-Agent": f"msgapi-sdk/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}{program}",
        }

    def allow_connections(self, count: int) -> None:
        """Raise the limit of the default transport to *count* if it is lower; check that of one that is passed in."""
        if self.given is not None:
            limit = getattr(self.given, "max_connections", None)
            if limit is not None and limit < count:
                raise ValueError(
                    f"{count} calls at once are more than the max_connections of the transport, {limit}: "
                    f"open it with max_connections={count}"
                )
        elif count > self.connections.get("max_connections", MAX_CONNECTIONS):
            self.connections["max_connections"] = count
            if self.transport is not None:
                self.transport.max_connections = count  # type: ignore[attr-defined]  # the default transport has it


def _default_transport(options: dict[str, Any]) -> AbstractAsyncContextManager[Transport]:
    if not isinstance(current_token().native_token, AbstractEventLoop):
        raise Misconfigured(
            "the default transport runs on asyncio only: on trio, "
            'pip install "msgapi-sdk[trio]" and pass transport=transports.httpx2.open()'
        )
    from ..transports import aiohttp

    return aiohttp.open(**options)
