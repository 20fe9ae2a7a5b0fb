"""Options of calls: those of one call, and the defaults that a client has for all of its calls.

Rules:
- A call without options costs nothing extra: a client without defaults has None in place of `CallOptions`.
- A wrong option raises before anything is sent. Headers that decide where a request goes, what it carries or which
  operation it is cannot be set.
"""

from collections.abc import Mapping
from math import inf
from ssl import SSLContext
from typing import Any, Final, final

import attrs
from attrs import frozen

from ..clock import Clock, within
from ..config import check_count, check_instance, check_seconds, check_transport
from ..http import Request, TimeLimits, check_headers
from ..results import NotSent, Unanswered
from ..retry import Retry
from ..transports import Answer, Transport
from ..transports.common.proxy import FROM_ENVIRONMENT, check_proxy

_NO_TIME_LEFT: Final = NotSent("no time is left (total_timeout)")
_TIMED_OUT: Final = Unanswered("no answer in time")
_SECONDS: Final = ("timeout", "connect_timeout", "total_timeout")


@final
@frozen(kw_only=True)
class CallOptions:
    """The options of a call; None is for the client's own value.

    *timeout* is the seconds of one attempt, *connect_timeout* of its connecting, and *total_timeout* of the whole call.
    If *keep_raw* is true, results keep the body of the response.
    """

    timeout: float | None = None
    connect_timeout: float | None = None
    total_timeout: float | None = None
    retry: Retry | None = None
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    keep_raw: bool = False

    def apply(self, request: Request) -> Request:
        """Return *request* with the headers, before its own: transports keep the head up to the last one."""
        return attrs.evolve(request, headers={**self.headers, **request.headers}) if self.headers else request

    async def send(self, request: Request, transport: Transport, clock: Clock, left: float) -> Answer:
        """Send *request*, and return its outcome in time; *left* is the seconds until *total_timeout* has passed.

        A transport that keeps `TimeLimits` knows best whether anything was sent. Any other one is cancelled.
        """
        if left <= 0:
            return _NO_TIME_LEFT
        total = None if left == inf else left
        if self.timeout is self.connect_timeout is total is None:
            return await transport(request)
        if getattr(transport, "keeps_limits", False):
            limits = TimeLimits(self.timeout, self.connect_timeout, total)
            return await transport(attrs.evolve(request, limits=limits))
        seconds = min(left, self.timeout or inf)
        if seconds == inf:  # it does not know of connecting
            return await transport(request)
        return await within(clock, seconds, lambda: transport(request)) or _TIMED_OUT


def make_options(base: CallOptions | None, **given: Any) -> CallOptions | None:  # noqa: ANN401 - the options by name
    """Return *base* with the options in *given* that are not None; None if there are no options at all.

    Raise TypeError or ValueError for an option that is wrong.
    """
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        return base
    for name in _SECONDS:
        if name in changed:
            check_seconds(name, changed[name])
    if "retry" in changed:
        check_instance("retry", changed["retry"], Retry, "Retry(attempts=3)")
    if "headers" in changed:
        check_instance("headers", changed["headers"], Mapping, '{"X-Request-Id": "..."}')
        check_headers(changed["headers"])
        changed["headers"] = {**((base and base.headers) or {}), **changed["headers"]}
    return attrs.evolve(base or CallOptions(), **changed)


def make_connection_options(
    transport: object,
    *,
    proxy: str | None,
    **given: Any,  # noqa: ANN401 - the options by name
) -> dict[str, Any]:
    """Return the options of the default transport in *given* that are not None, and *proxy* unless it is the default.

    Raise TypeError or ValueError for one that is wrong, and for any if a *transport* is passed in.
    """
    options = {name: value for name, value in given.items() if value is not None}
    if proxy != FROM_ENVIRONMENT:
        options["proxy"] = proxy
    for name, value in options.items():
        if name == "max_connections":
            check_count(name, value)
        elif name == "ssl":
            check_instance(name, value, SSLContext, "ssl.create_default_context()")
        elif name == "proxy":
            check_proxy(value)
        else:
            check_seconds(name, value)
    if transport is not None:
        check_transport(transport)
        for name in options:
            raise ValueError(f"{name} is that of the default transport: pass it to the `open` of the transport instead")
    return options
