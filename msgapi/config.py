"""Checks of the arguments of a client: its API key, its base URL and its options.

Rules:
- A wrong type raises TypeError, a wrong value ValueError. The message is one sentence with the option and the remedy.
- No error shows the API key, and no local variable of a frame that raises contains it.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncContextDecorator, contextmanager
from math import inf
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:]+")
_LONGEST_LABEL = 63  # characters between two dots of a host name (RFC 1035)
_PRODUCT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})?")  # RFC 9110, 10.1.5
_LIBRARIES = {
    "ClientSession": "transports.aiohttp.open(session=...), with the session in it",
    "AsyncClient": "transports.httpx2.open(client=...), with an httpx2.AsyncClient in it",
}


class Misconfigured(ValueError):
    """The client cannot be constructed or opened. The message says what is missing or wrong, and what to do."""


def key_problem(key: object) -> Exception | None:
    """Return the error to raise for an API key, or None if the key can be sent in a header."""
    if key is None or key == "":
        return Misconfigured("no API key: set MSGAPI_API_KEY, or pass Client(api_key=...)")
    if not isinstance(key, str):
        return TypeError(f"api_key must be a string, not {_kind(key)}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        return Misconfigured("the API key has characters that no key has, such as a space or a line break")
    return None


def check_url(url: str, allow_http: Collection[str] = ()) -> str:
    """Return a base URL without the `/v1` and the slashes at its end: every call adds the version itself.

    Raise Misconfigured if it is not a URL, or if the API key would be sent unencrypted to a host that neither
    *allow_http* nor `MSGAPI_ALLOW_HTTP` lists.
    """
    if not isinstance(url, str):
        raise TypeError(f"base_url must be a string such as https://api.arowana.app, not {_kind(url)}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Misconfigured("the base URL is not a URL: give one such as https://api.arowana.app") from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or not _is_host(host)
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise Misconfigured("the base URL must be like https://api.arowana.app (check MSGAPI_BASE_URL)")
    if parts.username is not None or parts.query or parts.fragment:
        raise Misconfigured("the base URL must have no user, no query and no fragment")
    if parts.scheme == "http" and not may_use_http(host, allow_http):
        raise Misconfigured(
            "the base URL must be https: the API key would be sent unencrypted "
            f"(to allow this host: MSGAPI_ALLOW_HTTP={host}, or Client(allow_http=({host!r},)))"
        )
    path = parts.path.rstrip("/")
    while path.lower().endswith("/v1"):
        path = path[:-3].rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_host(host: str) -> bool:
    # A name that no resolver takes would be found at the first call only.
    return ":" in host or all(0 < len(label) <= _LONGEST_LABEL for label in host.removesuffix(".").split("."))


def check_app_name(name: str) -> None:
    """Raise TypeError or ValueError unless *name* can be sent in the User-Agent: `name` or `name/version`."""
    if not isinstance(name, str):
        raise TypeError(f"app_name must be a string such as shop/1.2, not {_kind(name)}")
    if not _PRODUCT.fullmatch(name):
        raise ValueError("app_name must be a name and perhaps a version, without spaces, such as shop or shop/1.2")


def check_hosts(hosts: object) -> tuple[str, ...]:
    """Return the option *allow_http* as a tuple. Raise TypeError or ValueError unless it is a list of host names."""
    if isinstance(hosts, str) or not isinstance(hosts, Collection) or not all(isinstance(host, str) for host in hosts):
        raise TypeError(f'allow_http must be a tuple of host names, such as ("sandbox",), not {_kind(hosts)}')
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError('allow_http must have host names without a port or a wildcard, such as ("sandbox",)')
    return tuple(hosts)


def may_use_http(host: str, allow_http: Collection[str] = ()) -> bool:
    """Return whether a *host* may be reached over plain http.

    It is this machine, or it is listed in *allow_http* or in the environment variable `MSGAPI_ALLOW_HTTP`, whose names
    are separated by commas.
    """
    if is_loopback(host):
        return True
    listed = [*allow_http, *os.environ.get("MSGAPI_ALLOW_HTTP", "").split(",")]
    return host.lower().rstrip(".") in {name.strip().lower().rstrip(".") for name in listed} - {""}


@contextmanager
def needing_extra(user: str, extra: str, *libraries: str) -> Iterator[None]:
    """Raise ModuleNotFoundError with the command to install *extra*, if the block cannot import one of *libraries*.

    *user* is what needs them.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if f"{error.name}".partition(".")[0] not in libraries:
            raise
        command = f'pip install "msgapi-sdk[{extra}]"'
        raise ModuleNotFoundError(f"{user} needs the extra {extra}: {command}", name=error.name) from None


def check_seconds(name: str, value: object) -> None:
    """Raise TypeError or ValueError unless *value* of the option *name* is a finite number above 0."""
    check_number(name, value, "a number of seconds, such as 30.0")
    if not (isinstance(value, int | float) and 0 < value < inf):
        raise ValueError(f"{name} must be a number of seconds above 0 and finite, not {value}")


def check_count(name: str, value: object) -> None:
    """Raise TypeError or ValueError unless *value* of the option *name* is a whole number of at least 1."""
    check_number(name, value, "a whole number, such as 100", whole=True)
    if not (isinstance(value, int) and value >= 1):
        raise ValueError(f"{name} must be at least 1, not {value}")


def check_number(name: str, value: object, what: str, *, whole: bool = False) -> None:
    """Raise TypeError unless *value* of the option *name* is a number: an int if *whole*, else an int or a float.

    *what* describes the expected value in the message.
    """
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{name} must be {what}, not {_kind(value)}")


def number(*, above: float = -inf, at_least: float = -inf, whole: bool = False) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator for a number that is *above* one bound, or *at_least* another."""

    def check(_: object, field: Any, value: Any) -> None:  # noqa: ANN401 - as attrs calls it
        check_number(field.name, value, "a whole number" if whole else "a number", whole=whole)
        if not value > above or not value >= at_least:
            bound = f"above {above:g}" if above > -inf else f"at least {at_least:g}"
            raise ValueError(f"{field.name} must be {bound}, not {value}")

    return check


def check_instance(name: str, value: object, kind: type, example: str) -> None:
    """Raise TypeError unless *value* of the option *name* is an instance of *kind*; *example* shows one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" or kind.__name__.startswith("SSL") else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}, such as {example}, not {_kind(value)}")


def check_methods(name: str, value: object, methods: tuple[str, ...], example: str) -> None:
    """Raise TypeError unless *value* of the option *name* is an object with these *methods*; *example* shows one."""
    if inspect.isclass(value) or not all(callable(getattr(value, method, None)) for method in methods):
        raise TypeError(f"{name} must have the methods {', '.join(methods)}, such as {example}, not {_kind(value)}")


def is_unopened(transport: object) -> bool:
    """Return whether *transport* is an async context manager that opens a transport, and not an open transport."""
    entered = hasattr(type(transport), "__aenter__")
    return entered and (not callable(transport) or isinstance(transport, AsyncContextDecorator))


def check_transport(transport: object) -> None:
    """Raise TypeError unless *transport* is a transport, open or not. The message says what to pass."""
    remedy = next((_LIBRARIES[kind.__name__] for kind in type(transport).__mro__ if _is_library(kind)), None)
    if remedy is None and isinstance(transport, ModuleType):
        name = transport.__name__.rpartition(".")[2]
        remedy = f"transports.{name}.open()" if hasattr(transport, "open") else "transports.aiohttp.open()"
    if remedy is None and inspect.isfunction(transport) and (opener := _opener_name(transport)) is not None:
        remedy = f"transports.{opener}.open(), which is called"
    if remedy is None and (inspect.isclass(transport) or not (callable(transport) or is_unopened(transport))):
        remedy = "transports.aiohttp.open(), or an async function from Request to Response"
    if remedy is not None:
        raise TypeError(f"transport must be a transport, not {_kind(transport)}: pass {remedy}")


def _is_library(kind: type) -> bool:
    return kind.__name__ in _LIBRARIES and kind.__module__.partition(".")[0] in {"aiohttp", "httpx", "httpx2"}


def _opener_name(function: Any) -> str | None:  # noqa: ANN401 - any function
    # The name of the module or package of transports whose `open` the function is.
    prefix = f"{__package__}.transports."
    name, _, _ = function.__module__.removeprefix(prefix).partition(".")
    ours = function.__module__.startswith(prefix) and function is getattr(sys.modules[prefix + name], "open", None)
    return name if ours else None


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, ModuleType) or inspect.isclass(value):
        return f"the {'module' if isinstance(value, ModuleType) else 'class'} {value.__name__}"
    return f"the function {value.__name__}" if inspect.isfunction(value) else type(value).__name__


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an IP address, is this machine."""
    from ipaddress import ip_address

    name = host.lower().removesuffix(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)  # before Python 3.13, `is_loopback` is False for ::ffff:127.0.0.1
    return address.is_loopback or (mapped is not None and mapped.is_loopback)
