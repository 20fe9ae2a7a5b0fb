"""BlockingClient: carries out calls for synchronous programs, on an event loop in a thread of its own.

Its arguments are those of `Client`, also for type checkers: their names and types are taken from there.
"""

import re
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar, cast, final, overload

from ..batch import JournalProtocol, SpendLimit
from ..batch import send as send_batch
from ..calls import Caller
from ..client import Client
from ..client.client import advice_for
from ..clock import SYSTEM_CLOCK, Clock
from ..fallback import AnyCall
from ..observe import Observer
from ..results import Result
from .loop_thread import LoopThread
from .outcomes import BlockingOutcomes

if TYPE_CHECKING:
    from ..billing import Estimate

P = ParamSpec("P")
T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])


def _options_of(model: Callable[..., Any], *, without: int) -> Callable[[Method], Method]:
    # Give a method the signature of *model* for `inspect`: its own positional parameters, then those of *model* but the
    # first *without*.
    def with_options(method: Method) -> Method:
        own = signature(method)
        positional = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        options = [*signature(model).parameters.values()][without:]
        setattr(method, "__signature__", own.replace(parameters=[*positional, *options]))  # noqa: B010 - not declared
        return method

    return with_options


def _typed_as_client(
    _: Callable[P, Client],
) -> Callable[[Callable[..., None]], Callable[Concatenate["BlockingClient", P], None]]:
    return _options_of(Client, without=0)


def _typed_as_call(
    _: Callable[Concatenate[Client, AnyCall[T], P], Coroutine[Any, Any, Result[T]]],
) -> Callable[[Callable[..., Any]], Callable[Concatenate["BlockingClient", AnyCall[T], P], Result[T]]]:
    return _options_of(Client.__call__, without=2)


def _typed_as_derivation(
    _: Callable[Concatenate[Client, P], Client],
) -> Callable[[Callable[..., Any]], Callable[Concatenate["BlockingClient", P], "BlockingClient"]]:
    return _options_of(Client.with_options, without=1)


@final
class BlockingClient:
    """Carries out calls in synchronous programs: `client(call)`.

        with msgapi.BlockingClient() as client:
            result = client(messages.send(text))

    The arguments are those of `Client`, and so are the results: see there. The client runs a `Client` on an event loop
    in a thread of its own. Any number of threads can share one client, and so share its connections, its pace and its
    retry budget. Observers, clocks and `only_while` are called in the thread of the event loop; observers see the
    context variables of the thread that calls, such as the current span.

    Constructing a client does no I/O and starts no thread. The client opens at its first use or on entry of `with`. It
    closes at the end of `with` or by `client.close()`. A client that was opened and is never closed causes one
    ResourceWarning, when it is collected or when the interpreter exits, and does not delay the exit.

    A thread that is interrupted while it waits, by Ctrl-C or by a signal handler that raises, cancels its call. The
    call may have been carried out; the same `Call` can be made again if it is `repeatable`.

    A client belongs to the process of its first use. In a server that forks its workers, open it after the fork: it may
    be constructed before. Use in a forked process, use after the client was closed, and use in a thread that runs an
    event loop raise RuntimeError, and nothing is sent.
    """

    @_typed_as_client(Client)
    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - typed by the decorator
        try:
            self._client = Client(**options)
        except BaseException:
            options.clear()  # an error tracker shows the local variables of a frame that raises
            raise
        self._thread = LoopThread(self._client)
        self._base: BlockingClient | None = None
        weakref.finalize(self, self._thread.abandon).atexit = False

    def __repr__(self) -> str:
        """Show the base URL and whether the client is open; never the API key."""
        client = getattr(self, "_client", None)  # None if its arguments are wrong
        return "BlockingClient()" if client is None else f"Blocking{client!r}"

    def __reduce__(self) -> NoReturn:
        """Raise TypeError: a client has a thread, so it is neither pickled nor copied."""
        raise TypeError(
            "a msgapi.BlockingClient cannot be pickled or copied: make one in each process, for example as a global "
            "variable of the module whose functions the workers call; for other options use `client.with_options`"
        )

    def __enter__(self) -> "BlockingClient":
        """Open the client. Raise Misconfigured if there is no API key or an environment variable is unsafe."""
        self._thread.enter()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the client and end its thread. May be repeated. It waits for the end of both.

        Calls of other threads that are in flight are cancelled, and raise RuntimeError. Every later call raises it,
        too. In a forked process, do nothing: the connections belong to the parent.
        """
        self._thread.close()

    @_typed_as_call(Client.__call__)
    def __call__(self, call: AnyCall[T], /, **options: Any) -> Result[T]:  # noqa: ANN401 - typed by the decorator
        """Carry out *call*, and wait for it. Return its value in an `Ok`, or the error of the last attempt.

        The options are those of `Client.__call__`. Raise TypeError if *call* is not a `Call`.
        """
        self._thread.enter()
        return self._thread.run(self._client(call, **options))

    @_typed_as_derivation(Client.with_options)
    def with_options(self, **options: Any) -> "BlockingClient":  # noqa: ANN401 - typed by the decorator
        """Return a client with these options for all of its calls; None is for those of this client.

        It shares everything else, the thread included, and closing either of them closes both. The options are those of
        `Client.with_options`.
        """
        client = self._client.with_options(**options)
        derived = object.__new__(BlockingClient)
        derived._client, derived._thread = client, self._thread
        derived._base = self
        return derived

    def iterate(
        self, pages: Callable[Concatenate[Caller, P], AsyncIterator[T]], /, *args: P.args, **options: P.kwargs
    ) -> Iterator[T]:
        """Yield what an async iterator of the API yields: `for page in client.iterate(messages.pages, limit=50)`.

        *pages* is a function such as `messages.pages`, which yields pages, or `messages.iterate`, which yields rows.
        The other arguments are its own, without the client. A page is requested when it is asked for. An error is
        yielded once and ends the iteration. Raise TypeError if *pages* is not such a function.
        """
        iterator = pages(self._client, *args, **options) if callable(pages) else pages
        if not callable(pages) or not isinstance(iterator, AsyncIterator):
            raise TypeError("iterate takes a function, such as messages.pages, and its arguments without the client")
        self._thread.enter()
        return self._items(iterator)

    @overload
    def batch(
        self,
        calls: Iterable[AnyCall[T]],
        *,
        concurrency: int = 64,
        breaker: int | None = 25,
        outage_timeout: float = 900.0,
        max_spend: SpendLimit | None = None,
        estimate: "Estimate | None" = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer | None = None,
        only_while: Callable[[], bool] | None = None,
    ) -> BlockingOutcomes[T]: ...

    @overload
    def batch(
        self,
        calls: Iterable[tuple[str, AnyCall[T]] | AnyCall[T]],
        *,
        journal: JournalProtocol | AbstractAsyncContextManager[JournalProtocol],
        on_skip: Callable[[int, str], None] | None = None,
        concurrency: int = 64,
        breaker: int | None = 25,
        outage_timeout: float = 900.0,
        max_spend: SpendLimit | None = None,
        estimate: "Estimate | None" = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer | None = None,
        only_while: Callable[[], bool] | None = None,
    ) -> BlockingOutcomes[T]: ...

    @_options_of(send_batch, without=2)
    def batch(self, calls: Iterable[Any], **options: Any) -> BlockingOutcomes[Any]:
        """Send *calls* and yield their outcomes in the order in which they end: `for outcome in client.batch(calls)`.

        The options are those of `batch.send`, and so are its rules. These are different:

        - *calls* is a plain iterable. It is pulled in the thread that iterates, up to *concurrency* rows ahead, so it
          may read from a database cursor of this thread. While it waits, no outcome is yielded.
        - *journal* may be a journal that is not open yet, `journal.open(path, batch=...)`: it is opened here, and
          closed with the batch.
        - *on_skip* is called in the thread that iterates.

        The batch and its journal are open when this returns; sending starts with the iteration. Use it in a `with` to
        end the batch at a certain point, or to call `resume`. Without a `with` it ends with the iteration, or when the
        object is no longer used: after a `break`, or an exception in the body of the loop, that is at once. In each
        case the calls in flight are cancelled and the journal is closed.

        Raises:
            ValueError: As `batch.send`.
            journal.Unusable: The journal cannot be opened.
        """
        self._thread.enter()
        return BlockingOutcomes(self, self._client, self._thread, calls, options)

    if not TYPE_CHECKING:  # pragma: no branch - so that a type checker reports these

        def __getattr__(self, name: str) -> NoReturn:
            """Raise AttributeError. For a module or function of the API, the message contains the line to write."""
            remedy = "client.close()" if name == "aclose" else _advice(name)
            raise AttributeError(f"'BlockingClient' has no attribute {name!r}{f': {remedy}' if remedy else ''}")

        async def __aenter__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a blocking client is closed without await: write `with`, or use msgapi.Client")

        async def __aexit__(self, *_: object) -> None:
            """Do nothing: `__aenter__` has raised."""

    def _items(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        end = object()
        while True:
            self._thread.enter()
            item = self._thread.run(_next(iterator, end))
            if item is end:
                return
            yield cast("T", item)


async def _next(iterator: AsyncIterator[T], end: object) -> T | object:
    return await anext(iterator, end)


def _advice(name: str) -> str | None:
    # Return the line to write instead of `client.<name>`, as a synchronous program writes it.
    advice = (advice_for(name) or "").replace("await client(", "client(")
    return re.sub(r"async for (\w+) in ([\w.]+)\(client\)", r"for \1 in client.iterate(\2)", advice) or None
