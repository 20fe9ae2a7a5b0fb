"""The head of a request: its own headers, checked, and the few that HTTP needs beside them.

Rule: no header but the request's own, the host, the encoding asked for, and what frames the body.
"""

import re
from functools import lru_cache
from typing import Final

from yarl import URL

from ..http import Request

FRAMING: Final = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS: Final = re.compile(r"[\0\n\v\f\r]")
_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # by nature: they need not say that they have none


def head(request: Request, url: URL) -> list[tuple[bytes, bytes]]:
    """List the headers with which *request* goes out; a ValueError if one of them can't."""
    names = checked(request.method, *request.headers)
    if any(map(_BREAKS.search, request.headers.values())):
        raise ValueError("a header has a line break or a zero byte in it")
    pairs = [(name.encode(), value.strip(" \t").encode()) for name, value in request.headers.items()]
    if "host" not in names:
        pairs.append((b"Host", f"{url.host_port_subcomponent}".encode()))
    if "accept-encoding" not in names:
        pairs.append((b"Accept-Encoding", b"identity"))  # so that bytes out are the bytes of the body
    if request.body or request.method not in _NO_BODY:
        pairs.append((b"Content-Length", b"%d" % len(request.body or b"")))
    return pairs


def written(request: Request, url: URL) -> bytes:
    """Write *request* out whole, head and body; a ValueError if a header of it can't be sent."""
    headers, body = request.headers, request.body or b""
    framed = bool(body) or request.method not in _NO_BODY
    form, hosted = _form(request.method, framed, *headers)
    values = headers.values()
    text = "".join(values)
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError("a header has a line break or a zero byte in it")
    own = (url.raw_path_qs, *values) if hosted else (url.raw_path_qs, *values, url.host_port_subcomponent)
    return (form % ((*own, len(body)) if framed else own)).encode() + body


@lru_cache(64)
def _form(method: str, framed: bool, *names: str) -> tuple[str, bool]:  # noqa: FBT001 - a key of the cache
    # The head of all requests with these headers, to be filled in; and whether it names a host already.
    lower = checked(method, *names)
    lines = [f"{_literal(method)} %s HTTP/1.1", *(f"{_literal(name)}: %s" for name in names)]
    if "host" not in lower:
        lines.append("Host: %s")
    if "accept-encoding" not in lower:
        lines.append("Accept-Encoding: identity")  # so that bytes out are the bytes of the body
    if framed:
        lines.append("Content-Length: %d")
    return "\r\n".join((*lines, "", "")), "host" in lower


def _literal(word: str) -> str:
    return word.replace("%", "%%")


@lru_cache(64)
def checked(method: str, *names: str) -> frozenset[str]:
    """Give the names of the headers in lower case; a ValueError if one of them, or the method, can't be sent."""
    if not all(_TOKEN.fullmatch(word) for word in (method, *names)):
        raise ValueError("the method, or the name of a header, has a character that it can't have")
    lower = frozenset(name.lower() for name in names)
    if len(lower) < len(names):
        raise ValueError("a header is given twice, in names that differ only in their case")
    if lower & FRAMING:
        raise ValueError(f"these headers are the transport's own to write: {', '.join(sorted(lower & FRAMING))}")
    return lower
