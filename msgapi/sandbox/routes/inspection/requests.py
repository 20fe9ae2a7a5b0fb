"""The last requests with their responses, each also as a curl command and as code of the client."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, final

import orjson
from attrs import frozen

from ...http.requests import KEY_FIELD, Parser, QueryError, RouteRequest
from ...http.responses import to_datetime
from ...model.faults import find_fault
from ...model.inspection import LoggedRequest
from ...model.state import AccountState
from .listing import PAGED, Query, after_cursor, page, parse_text
from .snippets import MAX_CODE, curl_command, python_program

_MAX_DETAILS: Final = 200
_MAX_SHOWN: Final = 65_536  # characters of a body or a response
STATUS: Final = re.compile(r"[1-5](xx|[0-9]{2})", re.ASCII)


@final
@frozen(kw_only=True)
class RefusalDetail:
    """A field of the request, and what is wrong with it."""

    field: str
    message: str


@final
@frozen(kw_only=True)
class RequestView:
    """One request and its response; *code*, *message* and *details* are those of a refusal.

    *replayed* says whether its idempotency key was known, and *fault* names the simulated fault that it had. *curl*
    and *python* are the request as code; *python* is null if the client has no such call.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: str
    status: int
    idempotency_key: str | None
    replayed: bool
    code: str | None
    message: str | None
    details: tuple[RefusalDetail, ...]
    fault: str | None
    body: str | None
    response: str
    curl: str
    python: str | None


@final
@frozen(kw_only=True)
class RequestViews:
    """One page of requests."""

    data: tuple[RequestView, ...]
    next_cursor: str | None


def parse_status(text: str) -> str:
    """Accept a status such as 404, or a class of them such as 4xx."""
    if not STATUS.fullmatch(text):
        raise QueryError("must be a status such as 404, or a class such as 4xx")
    return text


REQUEST_PARAMETERS: Final[Mapping[str, Parser]] = {
    "status": parse_status,
    "path": parse_text,
    "message_id": parse_text,
    **PAGED,
}


def requests(state: AccountState, _: RouteRequest, query: Query) -> RequestViews:
    """List the last 1,000 requests, newest first, without those below `/_sandbox`."""
    found = (one for one in after_cursor(state.requests.newest_first(), query) if _matches(one, query))
    data, following = page(found, query, _view)
    return RequestViews(data=data, next_cursor=following)


def _matches(one: LoggedRequest, query: Query) -> bool:
    status, path, message_id = query.get("status", ""), query.get("path", ""), query.get("message_id")
    if not f"{one.answer.response.status}".startswith(status.removesuffix("xx")):
        return False
    if path not in one.path:
        return False
    return message_id is None or (one.method == "POST" and _accepted_id(one) == message_id)


def _accepted_id(one: LoggedRequest) -> object:
    return _json(one.answer.response.body).get("message_id")


def _view(one: LoggedRequest) -> RequestView:
    response = one.answer.response
    refused = _json(response.body) if response.status >= 400 else {}  # noqa: PLR2004 - an error
    sent = _json(one.body) if len(one.body) <= MAX_CODE else {}
    is_readable = bool(sent) or one.body in {b"", b"{}"}
    key = one.key if one.key is not None else sent.get(KEY_FIELD)
    return RequestView(
        number=one.number,
        at=to_datetime(one.at),
        method=one.method,
        path=one.path,
        query=one.query,
        status=response.status,
        idempotency_key=key if isinstance(key, str) else None,
        replayed=one.answer.replayed,
        code=refused.get("error"),
        message=refused.get("message"),
        details=tuple(RefusalDetail(**detail) for detail in refused.get("details", ())[:_MAX_DETAILS]),
        fault=one.answer.fault or _magic_fault(one, sent),
        body=_shown(one.body) if one.body else None,
        response=_shown(response.body),
        curl=curl_command(one.method, one.url, one.body, one.key),
        python=python_program(one.method, one.url, sent, key if isinstance(key, str) else None)
        if is_readable
        else None,
    )


def _magic_fault(one: LoggedRequest, sent: Mapping[str, Any]) -> str | None:
    """Return the fault of the recipient, if the request had it."""
    to = sent.get("to")
    fault = find_fault(to) if (one.method, one.path) == ("POST", "/v1/messages") and isinstance(to, str) else None
    if fault is None:
        return None
    status = {"430": "429", "lost": "200", "slow": "200"}.get(fault, fault.removesuffix("-once"))
    return fault if status == f"{one.answer.response.status}" else None


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shown(body: bytes) -> str:
    text = body.decode(errors="replace")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(body)} bytes)"
