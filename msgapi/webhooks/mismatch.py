"""Mismatch: why a signature does not match a body, for a person who looks for the cause.

`delivery.read` does not use it: it computes dozens of signatures, and what it finds must not be sent to a client.
"""

import hmac
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from .delivery import SIGNATURE_HEADER, compute_signature, parse_secrets

_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}")
_MAX_BODY: Final = 2**20  # bytes; a longer body is not written again
_Variant = tuple[str, bytes]


def explain_mismatch(signature: str, body: bytes, *, secret: str | Iterable[str]) -> str | None:
    """Return why *signature*, the value of the signature header, does not match *body*; None if no cause is found.

    A cause is found if the signature matches another form of the body, such as the same JSON with other white space,
    or another form of the secret. It takes much longer than `read`, so use it to look for a mistake, not for every
    delivery. Raise what `read` raises for *secret*.
    """
    given = signature.strip().lower()
    secrets = parse_secrets(secret)
    if not _SIGNATURE.fullmatch(given):
        return f"the {SIGNATURE_HEADER} header is not `sha256=` and 64 hexadecimal digits"

    def matches(other: bytes, key: bytes) -> bool:
        return hmac.compare_digest(compute_signature(other, key), given.encode())

    forms = list(_forms(body))
    for one in secrets:
        if matches(body, one.encode()):
            return "the signature matches the body"
        found = next((cause for cause, other in forms if matches(other, one.encode())), None)
        if found is not None:
            return f"the body was changed after it was signed: {found}; verify the raw bytes of the request"
        found = next((cause for cause, key in _keys(one) if matches(body, key)), None)
        if found is not None:
            return f"it is the secret: {found}"
    return None


def _forms(body: bytes) -> Iterator[_Variant]:
    # What programs do to a body on its way, turned back.
    stripped = body.strip(b" \t\r\n")
    for ending, name in ((b"", "nothing"), (b"\n", "a line break"), (b"\r\n", "a CRLF line break")):
        yield f"white space at its ends was added or removed (the signed body ends in {name})", stripped + ending
    yield "its line breaks were changed to CRLF", body.replace(b"\r\n", b"\n")
    yield "its line breaks were changed from CRLF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "a byte order mark was added", body.removeprefix(b"\xef\xbb\xbf")
    for encoding in ("utf-16", "latin-1", "cp1252"):
        try:
            yield f"it was encoded anew, in {encoding}", body.decode(encoding).encode()
        except ValueError:
            continue
    yield from _written_again(body) if len(body) <= _MAX_BODY else ()


def _written_again(body: bytes) -> Iterator[_Variant]:
    try:
        value = orjson.loads(body)
        again: list[tuple[str, Callable[[Any], str]]] = [
            (f"{compact}{escaped}{ordered}", _writer(separators, ascii_only=ascii_only, ordered=bool(ordered)))
            for compact, separators in (
                ("compact", (",", ":")),
                ("with blanks after commas and colons", (", ", ": ")),
            )
            for escaped, ascii_only in (("", False), (", with escapes for other letters than ASCII", True))
            for ordered in ("", ", with sorted names")
        ]
        again += [(f"indented by {n}", _writer((",", ": "), indent=n)) for n in (2, 4)]
        if isinstance(value, str):
            yield "it was encoded as JSON twice", value.encode()
        for form, write in again:
            for ending in ("", "\n"):
                yield f"the same JSON was written anew (the signed body is {form})", (write(value) + ending).encode()
    except (ValueError, RecursionError):
        return


def _writer(
    separators: tuple[str, str], *, ascii_only: bool = False, ordered: bool = False, indent: int | None = None
) -> Callable[[Any], str]:
    return lambda value: json.dumps(
        value, separators=separators, ensure_ascii=ascii_only, sort_keys=ordered, indent=indent
    )


def _keys(secret: str) -> Iterator[_Variant]:
    plain = secret.strip()
    yield "it has white space at its ends", plain.encode()
    for ending, name in (("\n", "LF"), ("\r\n", "CRLF"), (" ", "a blank")):
        yield f"the sender's has a line break or blank at its end ({name})", (plain + ending).encode()
    unquoted = plain.strip("\"'")
    yield "it has quotation marks around it", unquoted.encode()
    yield "the sender's has no whsec_ before it", unquoted.removeprefix("whsec_").encode()
    yield "the sender's has whsec_ before it", f"whsec_{unquoted}".encode()
    yield "upper and lower case differ", unquoted.lower().encode()
    for decode, name in ((b64decode, "base64"), (bytes.fromhex, "hexadecimal")):
        try:
            yield f"the sender decodes it from {name}", decode(unquoted.removeprefix("whsec_"))
        except ValueError:
            continue
