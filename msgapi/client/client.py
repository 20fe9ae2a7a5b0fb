"""Client: the class that programs construct, and that carries out calls; `sending` says how.

For an attribute that a client does not have, such as `client.messages`, its error has the line to write instead.
"""

import inspect
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, final

from attrs import evolve

from ..calls import Call
from ..clock import SYSTEM_CLOCK, Clock, steady
from ..config import check_app_name, check_hosts, check_instance, check_methods, check_seconds, check_url, key_problem
from ..fallback import AnyCall, Fallback, send
from ..observe import Observer, combine
from ..ratelimit.pace import Pace
from ..results import Result
from ..retry import Retry
from ..transports import Transport
from ..transports.common.opening import FROM_ENVIRONMENT, parse_setting
from .lifetime import ClientSetup
from .sending import CallOptions, CallSender, make_connection_options, make_options

if TYPE_CHECKING:
    from ssl import SSLContext

T = TypeVar("T")
U = TypeVar("U")

TIMEOUT: Final = 30.0  # seconds
CONNECT_TIMEOUT: Final = 10.0  # seconds
_DEFAULT_RETRY: Final = Retry()
_NOUNS: Final = ("messages", "contacts", "agents", "campaigns", "billing", "webhooks", "testagent")


@final
class Client:
    """Carries out calls: `await client(call)`.

        async with msgapi.Client() as client:
            result = await client(messages.send(text))

    Constructing a client does no I/O and needs neither an event loop nor an API key. The client opens at its first
    call or on entry of `async with`. It closes at the end of `async with` or by `await client.aclose()`. Any number of
    tasks can share one client. A client does not raise for errors of the network or the server: it returns them.

    All arguments are keywords:

    - *api_key*: the API key. If None, the environment variable `MSGAPI_API_KEY` is read when the client opens.
    - *base_url*: an https URL, or an http URL of this machine. If None, the environment variable `MSGAPI_BASE_URL` is
      read when the client opens; the default is https://api.arowana.app.
    - *allow_http*: the names of other hosts that may be reached over plain http, such as the container of a sandbox:
      `("sandbox",)`. The environment variable `MSGAPI_ALLOW_HTTP` can list more, separated by commas. The API key and
      the messages are sent unencrypted to these hosts.
    - *transport*: sends the requests. An unopened transport, such as `transports.httptools.open()`, is opened and
      closed with the client. An open transport, which is any async function from `Request` to `Response`, is left
      open. If None, aiohttp is used, on asyncio only.
    - *retry*: which failed attempts are repeated, and when; by default `Retry()`.
    - *pace*: the rate of requests; by default `Pace()`. Clients of one process that use the same key can share one.
    - *timeout*: seconds for one attempt, 30 by default; the wait for a free connection comes before it. A transport
      that is passed in keeps its own, unless another value than 30 is given here.
    - *connect_timeout*: seconds for the connecting of one attempt. The default is 10, or that of a transport that is
      passed in. A transport that does not make connections by itself ignores it.
    - *total_timeout*: seconds for a whole call, with all attempts and waits; by default without limit. See `__call__`.
    - *clock*: waits and reads the time; by default the system clock. Tests can pass a `VirtualClock`.
    - *observer*: an `observe.Observer` of all calls; see `observe.combine`, `observe.log`, `telemetry.observer`.
    - *app_name*: the name of your program, such as `shop/1.2`, which is added to the User-Agent.

    These are options of the default transport. A transport that is passed in is given them by its `open`:

    - *max_connections*: the highest number of connections, 100 by default. If all are in use, a call waits for a free
      one until shortly before its *total_timeout* or the surrounding anyio deadline; it is then a `NotSent` with the
      code `no_free_connection`.
    - *keepalive_timeout*: seconds after which an idle connection is closed, 15 by default.
    - *max_connection_age*: seconds for which a connection is used, 300 by default. A change of the host's address is
      followed within them.
    - *proxy*: the URL of an http proxy, such as `http://user:password@proxy.example:3128`, or None for no proxy. By
      default the proxies of the environment are used (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), which are
      read when the client opens. This machine is never reached through a proxy of the environment.
    - *ssl*: an `ssl.SSLContext`, for example with the certificate authority of a proxy; by default the system's.

    The timeouts of asyncio, `asyncio.timeout` and `asyncio.wait_for`, cannot be seen from inside a task. A call under
    one of them is cancelled when the time is up, and raises TimeoutError instead of returning what is known. Use
    *total_timeout* instead, or `anyio.fail_after`: a call that would have to wait for longer then returns at once.

    Raise TypeError for an argument of a wrong type and ValueError for a wrong value. An unsafe URL or key raises
    `Misconfigured`, a ValueError. A missing or unsafe environment variable raises it when the client opens.

    A client belongs to the event loop, thread and process of its first use. A call from another one, or after the
    client was closed, raises RuntimeError, and nothing is sent. A client that opened a transport and is never closed
    causes one ResourceWarning, when it is collected or when the event loop ends.
    """

    observer: Observer | None

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        allow_http: Collection[str] = (),
        transport: Transport | AbstractAsyncContextManager[Transport] | None = None,
        retry: Retry = _DEFAULT_RETRY,
        pace: Pace | None = None,
        timeout: float = TIMEOUT,
        connect_timeout: float | None = None,
        total_timeout: float | None = None,
        max_connections: int | None = None,
        keepalive_timeout: float | None = None,
        max_connection_age: float | None = None,
        proxy: str | None = FROM_ENVIRONMENT,
        ssl: "SSLContext | None" = None,
        app_name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer | None = None,
    ) -> None:
        setup = self._setup = ClientSetup(api_key, None, transport, {}, app_name)
        proxy_setting, problem = parse_setting(proxy)
        del api_key, proxy  # an error tracker shows the local variables of a frame that raises
        if problem is not None:
            raise problem
        setup.allow_http = check_hosts(allow_http)
        if base_url is not None:
            setup.base_url = check_url(base_url, setup.allow_http)
        check_instance("retry", retry, Retry, "Retry(attempts=3)")
        check_methods("clock", clock, ("now", "time", "sleep"), "msgapi.VirtualClock()")
        check_seconds("timeout", timeout)
        setup.connections = make_connection_options(
            transport,
            max_connections=max_connections,
            keepalive_timeout=keepalive_timeout,
            max_connection_age=max_connection_age,
            ssl=ssl,
            proxy=proxy_setting,
        )
        options = make_options(None, connect_timeout=connect_timeout, total_timeout=total_timeout)
        if transport is None:  # these are the transport's own, which costs nothing for each call
            setup.connections |= {"timeout": timeout, "connect_timeout": connect_timeout or CONNECT_TIMEOUT}
            options = make_options(None, total_timeout=total_timeout)
        elif timeout != TIMEOUT:
            options = make_options(options, timeout=timeout)
        if app_name is not None:
            check_app_name(app_name)
        if pace is not None:
            check_instance("pace", pace, Pace, "Pace(per_second=5)")
        if observer is not None:
            check_instance("observer", observer, Observer, "observe.log()")
        if setup.api_key is not None and (problem := key_problem(setup.api_key)) is not None:
            raise problem
        self.observer = None if observer is None else combine(observer)
        self._sender = CallSender(setup, retry, Pace() if pace is None else pace, steady(clock))
        self._options = options

    def __repr__(self) -> str:
        """Show the base URL, whether the client is open, and whether it sends to a sandbox; never the API key."""
        setup = self._setup
        sandbox = "over a sandbox" if setup.is_sandbox else ""
        return f"Client({', '.join(filter(None, (setup.base_url, setup.lifetime.state, sandbox)))})"

    def __reduce__(self) -> NoReturn:
        """Raise TypeError: a client has connections and a key, so it is neither pickled nor copied."""
        raise TypeError(
            "a msgapi.Client cannot be pickled or copied: make one in each process; "
            "for other options use `client.with_options`"
        )

    async def __aenter__(self) -> "Client":
        """Open the client. Raise Misconfigured if there is no API key or an environment variable is unsafe."""
        await self._sender.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client and the transport that it opened. May be repeated.

        Every later call raises RuntimeError. Raise RuntimeError if the open client belongs to another event loop.
        """
        await self._setup.lifetime.close()

    def allow_connections(self, count: int) -> None:
        """Let *count* calls be in flight at once: raise the limit of the default transport if it is lower.

        Raise ValueError if the limit of a transport that was passed in is lower.
        """
        self._setup.allow_connections(count)

    def __call__(
        self,
        call: AnyCall[T],
        /,
        *,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        total_timeout: float | None = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        only_while: Callable[[], bool] | None = None,
    ) -> Coroutine[Any, Any, Result[T]]:
        """Carry out *call*, or a `fallback`. Return its value in an `Ok`, or the error of the last attempt.

        Failed attempts are repeated according to the client's `Retry`. The same call may be awaited again if it is
        `repeatable`: with an idempotency key it is the same operation.

        These options are for this call only; None is for the client's own:

        - *timeout*, *connect_timeout*: seconds for one attempt, and for its connecting. An attempt that times out is
          `NotSent` if nothing was sent, else `Unanswered`, and is repeated like any other.
        - *total_timeout*: seconds for the whole call: all attempts, waits and legs. Once they have passed, the call
          returns what is known: `Throttled` if it waits for the rate limit, `NotSent`, or `Unanswered`. If a wait would
          be longer, it returns at once: `Throttled`, or the error of the last attempt.
        - *retry*: its attempts and waits; the budget stays that of the client.
        - *headers*: more headers to send, such as `X-Request-Id`. Those that the client writes cannot be set.
        - *only_while* is called before each request is sent, and a few times a second while the call waits. Once it
          returns False, return the error of the last attempt, or a `NotSent` with the code `called_off` if there was
          none.

        Raise TypeError if *call* is not a `Call`, and TypeError or ValueError for an option that is wrong.
        """
        if type(call) is not Call and not isinstance(call, Fallback):
            raise TypeError(f"a client takes a call, such as messages.send(...), not {type(call).__name__}")
        options, sender = self._options, self._sender
        if not (timeout is connect_timeout is total_timeout is None and retry is None and headers is None):
            options = make_options(
                options,
                timeout=timeout,
                connect_timeout=connect_timeout,
                total_timeout=total_timeout,
                retry=retry,
                headers=headers,
            )
        if type(call) is not Call:
            return self._send_legs(call, only_while, options)
        if self.observer is None:
            return sender.carry(call, only_while, None, options)
        return sender.watched(call, only_while, self.observer, options)

    def _send_legs(
        self, fallback: Fallback[T], only_while: Callable[[], bool] | None, options: CallOptions | None
    ) -> Coroutine[Any, Any, Result[T]]:
        clock, observer, sender = self._sender.clock, self.observer, self._sender
        began = clock.now()

        def send_leg(call: Call[U], /) -> Coroutine[Any, Any, Result[U]]:
            left = options
            if options is not None and options.total_timeout is not None:  # that of all legs
                left = evolve(options, total_timeout=options.total_timeout + began - clock.now())
            if observer is None:
                return sender.carry(call, only_while, None, left)
            return sender.watched(call, only_while, observer, left)

        return send(send_leg, fallback)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        total_timeout: float | None = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        keep_raw: bool | None = None,
    ) -> "Client":
        """Return a client with these options for all of its calls; None is for those of this client.

        It shares everything else: the connections, the pace, the retry budget and the observer. It is open as long as
        this client is, and closing either of them closes both. The options are those of `__call__`; *headers* are added
        to those of this client. If *keep_raw* is true, `result.meta.raw_body` is the body of the response as it came,
        also of one that could not be decoded. It contains personal data, and is shown in no repr.

        Raise TypeError or ValueError for an option that is wrong.
        """
        derived = object.__new__(Client)
        derived.observer, derived._setup, derived._sender = self.observer, self._setup, self._sender
        derived._options = make_options(
            self._options,
            timeout=timeout,
            connect_timeout=connect_timeout,
            total_timeout=total_timeout,
            retry=retry,
            headers=headers,
            keep_raw=keep_raw,
        )
        return derived

    if not TYPE_CHECKING:  # pragma: no branch - so that a type checker reports these

        def __getattr__(self, name: str) -> NoReturn:
            """Raise AttributeError. For a module or function of the API, the message contains the line to write."""
            remedy = advice_for(name)
            raise AttributeError(f"'Client' has no attribute {name!r}{f': {remedy}' if remedy else ''}")

        def __await__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is not awaited: write `async with msgapi.Client() as client`")

        def __enter__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is closed by await: write `async with`, not `with`")

        def __exit__(self, *_: object) -> None:
            """Do nothing: `__enter__` has raised."""


def advice_for(name: str) -> str | None:
    """Return the line to write instead of `client.<name>`, or None if the API has nothing of this name."""
    if name == "close":
        return "await client.aclose()"
    if name == "batch":
        return "a batch takes the client: batch.send(client, calls)"
    if name.startswith("_"):
        return None
    lines = [_usage(name, *_functions(name)[0])] if name in _NOUNS else [*_usages(name)]
    return f"a call is a value: {' or '.join(lines)}" if lines else None


def _usages(wanted: str) -> Iterator[str]:
    for noun in _NOUNS:
        for name, function in _functions(noun):
            if name == wanted:
                yield _usage(noun, name, function)


def _usage(noun: str, name: str, function: object) -> str:
    if inspect.isasyncgenfunction(function):
        what = "item" if name.startswith("iterate") else "page"
        return f"async for {what} in {noun}.{name}(client)"
    return f"await client({noun}.{name}(...))"


def _functions(noun: str) -> list[tuple[str, object]]:
    # The functions that return a call or take a client; `send` or `create` is the first if there is one.
    module = import_module(f"..{noun}", __package__)
    found = [(name, getattr(module, name)) for name in module.__all__]
    functions = [(name, value) for name, value in found if inspect.isfunction(value)]
    return sorted(functions, key=lambda item: (item[0] not in {"send", "create"}, item[0]))
