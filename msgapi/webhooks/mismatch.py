"""Mismatch: why a signature does not match a body, for a person who looks for the cause.

Rules:
- `delivery.read` does not use it: it computes dozens of signatures, and what it finds must not be sent to a client.
- A cause is named only if the signature proves it: if it matches another form of the body or of the secret. What is
  said about a header that is missing is a suggestion.
- The text quotes no secret, no body and no signature, only names of headers.
"""

import hmac
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import orjson

from .delivery import SIGNATURE_HEADER, compute_signature, parse_secrets

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(rf"sha256={_DIGEST.pattern}")
_MAX_BODY: Final = 2**20  # bytes; a longer body is not written again
_MAX_COMBINED: Final = 2**16  # bytes; each form of a longer body is not tried with each form of the secret
_LETTERS: Final = re.compile(r"[^a-z0-9]")
_Variant = tuple[str, bytes]


def explain_mismatch(
    signature: str | Mapping[str, str] | Mapping[bytes, bytes],
    body: bytes,
    *,
    secret: str | Iterable[str],
    combined: bool = True,
) -> str | None:
    """Return why *signature* does not match *body*; None if no cause is found.

    *signature* is the value of the signature header, or the headers of the request, as for `read`. A cause is found if
    the header is missing or has another form, or if the signature matches another form of the body, such as the same
    JSON with other white space, or another form of a secret. If *combined*, both at once are tried too, for a body of
    up to 64 KiB. Of several secrets, the text says which one it is about, by its position.

    It takes much longer than `read`, so use it to look for a mistake, not for every delivery. Do not send the text to
    the client. Raise what `read` raises for *secret*.
    """
    secrets = parse_secrets(secret)
    if not isinstance(signature, str):
        headers = {_text(name): _text(value) for name, value in signature.items()}
        values = [value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER.lower()]
        if not values:
            return _explain_missing_header(headers)
        signature = values[0]
    given = signature.strip().lower()
    if not _SIGNATURE.fullmatch(given):
        return _explain_form(given)
    find = partial(_find, given.encode(), secrets)
    unchanged, forms = [("", body)], list(_forms(body))
    found = find(unchanged, _exact) or find(forms, _exact) or find(unchanged, _keys)
    if found is None and combined and len(body) <= _MAX_COMBINED:
        found = find(forms, _keys)
    if found is None and not body:
        return "the body is empty: something else, such as a middleware, may have read it before"
    return found


def _find(
    signature: bytes, secrets: tuple[str, ...], forms: list[_Variant], keys: Callable[[str], Iterable[_Variant]]
) -> str | None:
    for position, one in enumerate(secrets, 1):
        for key_cause, key in keys(one):
            for body_cause, form in forms:
                if hmac.compare_digest(compute_signature(form, key), signature):
                    of = f" (secret {position} of {len(secrets)})" if len(secrets) > 1 else ""
                    return _describe(body_cause, key_cause, of)
    return None


def _describe(body_cause: str, key_cause: str, of: str) -> str:
    changed = f"the body was changed after it was signed: {body_cause}; verify the raw bytes of the request"
    causes = [changed] if body_cause else []
    causes += [f"it is the secret: {key_cause}"] if key_cause else []
    return ("; and ".join(causes) or "the signature matches the body") + of


def _exact(secret: str) -> Iterator[_Variant]:
    yield "", secret.encode()


def _text(part: str | bytes) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else part


def _explain_missing_header(names: Iterable[str]) -> str:
    missing = f"there is no {SIGNATURE_HEADER} header"
    wanted = _LETTERS.sub("", SIGNATURE_HEADER.lower())
    for name in names:
        letters = _LETTERS.sub("", name.lower())
        if letters == f"http{wanted}":
            return f"{missing}, but the WSGI variable of it: pass the headers of the request, not its environment"
        if letters == wanted:
            return f"{missing}, but one with other characters between the words: a server before yours has renamed it"
    other = next((name for name in names if "signature" in name.lower()), None)
    if other is not None:
        return f"{missing}, but {other!r}: is the delivery one of another service?"
    return f"{missing}: a proxy or web server before yours may have removed it, or it is no delivery of the service"


def _explain_form(given: str) -> str:
    form = "`sha256=` and 64 hexadecimal digits"
    if not given:
        return f"the {SIGNATURE_HEADER} header is empty, and not {form}"
    if _DIGEST.fullmatch(given):
        return f"the {SIGNATURE_HEADER} header lacks `sha256=` before its 64 hexadecimal digits"
    if len(_SIGNATURE.findall(given)) > 1:
        return f"the {SIGNATURE_HEADER} header has several signatures: it was sent twice, or a proxy has joined two"
    return f"the {SIGNATURE_HEADER} header is not {form}"


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
    for ending, name in (("\n", "LF"), ("\r\n", "CRLF"), (" ", "a blank"), ("\\n", "a backslash and n")):
        yield f"the sender's has a line break or blank at its end ({name})", (plain + ending).encode()
    unquoted = plain.strip("\"'")
    yield "it has quotation marks around it", unquoted.encode()
    for mark in "\"'":
        yield f"the sender's has quotation marks ({mark}) around it", f"{mark}{unquoted}{mark}".encode()
    yield "the sender's has no whsec_ before it", unquoted.removeprefix("whsec_").encode()
    yield "the sender's has whsec_ before it", f"whsec_{unquoted}".encode()
    yield "upper and lower case differ", unquoted.lower().encode()
    for decode, name in ((b64decode, "base64"), (bytes.fromhex, "hexadecimal")):
        try:
            yield f"the sender decodes it from {name}", decode(unquoted.removeprefix("whsec_"))
        except ValueError:
            continue
