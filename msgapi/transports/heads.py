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
    names = checked(request.method, *request.headers)
    lines = [f"{request.method} {url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if "host" not in names:
        lines.append(f"Host: {url.host_port_subcomponent}")
    if "accept-encoding" not in names:
        lines.append("Accept-Encoding: identity")  # so that bytes out are the bytes of the body
    body = request.body or b""
    if body or request.method not in _NO_BODY:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") >= len(lines) or head.count("\r") >= len(lines) or "\0" in head:
        raise ValueError("a header has a line break or a zero byte in it")
    return f"{head}\r\n\r\n".encode() + body


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
