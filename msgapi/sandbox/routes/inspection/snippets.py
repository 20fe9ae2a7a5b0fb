"""A request as code that makes it again: a curl command, and a program with the client.

Rules:
- Neither has the API key or the address: both read MSGAPI_API_KEY and MSGAPI_BASE_URL.
- The values of a request are quoted for the shell, or written as Python literals: they are never code.
- A program has the types of the client. A request that the client cannot have made has no program.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from inspect import signature
from shlex import quote
from typing import Any, Final, Literal, TypeAlias, TypeVar, final, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import attrs
from attrs import frozen

from .... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ....billing.models import NewTopUp
from ....contacts import ImportRows
from ....messages import Message
from ...http.codecs import read_model
from ...http.requests import KEY_FIELD, match_path, split_url

T = TypeVar("T")
_MAX_LINE: Final = 100  # characters
MAX_CODE: Final = 100_000
"""The number of bytes of a body that is written as code: a shell takes no longer argument."""
_MAX_DEPTH: Final = 50  # of nested values
_GLOBS: Final = frozenset("[]{}")  # that curl would expand in a URL
_NUMBERS: Final = frozenset({"limit", "offset"})
_TIMES: Final[Mapping[str, str]] = {"from": "since", "to": "until"}


def curl_command(method: str, url: str, body: bytes, key: str | None) -> str:
    """Return the request as a command for a POSIX shell. A body that is too long, or is not UTF-8, is a file in it."""
    path, query = split_url(url)
    target = f"{path}?{query}" if query else path
    options = ["curl", *(["-g"] if _GLOBS & {*target} else []), *(["--path-as-is"] if "/." in path else [])]
    options += [] if method == "GET" else ["-I"] if method == "HEAD" else ["-X", quote(method)]
    lines = [f'{" ".join(options)} "$MSGAPI_BASE_URL"{quote(target)}', '-H "Authorization: Bearer $MSGAPI_API_KEY"']
    if key is not None:
        lines.append(f"-H {quote(f'Idempotency-Key: {key}')}")
    if body:
        lines.append("-H 'Content-Type: application/json'")
        text = _text_of(body)
        lines.append("--data-binary @body.json" if text is None else f"--data-raw {quote(text)}")
    return " \\\n  ".join(lines)


@final
@frozen
class Snippet:
    """Code in brackets: the *items*, each after its prefix, between *head* and *tail*."""

    head: str
    items: "tuple[tuple[str, Code], ...]" = ()
    tail: str = ")"

    def flat(self) -> str:
        """Return the code in one line."""
        comma = "," if self.head == "(" and len(self.items) == 1 else ""  # a tuple of one
        return f"{self.head}{', '.join(prefix + _flat(one) for prefix, one in self.items)}{comma}{self.tail}"


Code: TypeAlias = Snippet | str
"""Code in brackets, or a literal."""


class _Unwritable(Exception):
    """The client has no call for a request."""


def python_program(method: str, url: str, body: Mapping[str, Any], key: str | None) -> str | None:
    """Return a request with the JSON object *body* as a program; None if no call of the client makes it."""
    call = python_call(method, url, body, key)
    if call is None:
        return None
    lines = [*_lines("result = await ", Snippet("client(", (("", call),)), "", 8), "        print(result)"]
    if call.head == "contacts.import_contacts(":  # returns a call for each part of a large import
        lines = [*_lines("for call in ", call, ":", 8), f"{' ' * 12}print(await client(call))"]
    used = {one.partition("(")[0] for one in _words(call)}
    times = [*(["UTC"] if "datetime" in used else []), *sorted({"date", "datetime"} & used)]
    imports = [
        "import asyncio",
        *([f"from datetime import {', '.join(times)}"] if times else []),
        *(["from decimal import Decimal"] if "Decimal" in used else []),
        "",
        "import msgapi",
        f"from msgapi import {', '.join(sorted({one.partition('.')[0] for one in used} & _NOUNS))}",
    ]
    begin = ["", "", "async def main() -> None:", "    async with msgapi.Client() as client:"]
    return "\n".join([*imports, *begin, *lines, "", "", "asyncio.run(main())", ""])


def python_call(method: str, url: str, body: Mapping[str, Any], key: str | None) -> Snippet | None:
    """Return the call of the client that makes a request; None if there is none."""
    path, query = split_url(url)
    found = _find(method, path)
    if found is None:
        return None
    function, writer, id_ = found
    hints = get_type_hints(function)
    sent = {field: part for field, part in body.items() if field != KEY_FIELD}
    try:
        keys = (("idempotency_key=", _literal(key)),) if key is not None and "idempotency_key" in hints else ()
        items = (*((("", _literal(id_)),) if id_ else ()), *writer(sent), *_query_items(query, hints), *keys)
        positional = [one for name, one in items if not name]
        named = {name.removesuffix("="): one for name, one in items if name}
        if len(positional) + len(named) < len(items):
            raise _Unwritable  # a parameter is given twice
        _ = signature(function).bind(*positional, **named)
    except (_Unwritable, ValueError, TypeError):  # TypeError: a parameter is missing, or is unknown
        return None
    noun = function.__module__.split(".")[1]
    return Snippet(f"{noun}.{function.__name__}(", items)


Items: TypeAlias = tuple[tuple[str, Code], ...]
Writer: TypeAlias = Callable[[dict[str, Any]], Items]
"""Returns the arguments that a body becomes; raises _Unwritable if the client cannot send it."""


def _nothing(body: dict[str, Any]) -> Items:
    if body:
        raise _Unwritable
    return ()


def _model(model: type[Any]) -> Writer:
    return lambda body: (("", _literal(_read(model, body))),)


def _read(model: type[T], body: dict[str, Any]) -> T:
    found, details = read_model(body, model)
    if found is None or details:
        raise _Unwritable
    return found


def _message(body: dict[str, Any]) -> Items:
    found = messages.read(body)
    if not isinstance(found, Message):
        raise _Unwritable
    return (("", _literal(found)),)


def _test_message(body: dict[str, Any]) -> Items:
    return _message({"message_type": "MESSAGE", **body})


def _import(body: dict[str, Any]) -> Items:
    rows = _read(ImportRows, body).contacts
    return (("", Snippet("[", tuple(("", _literal(row)) for row in rows), "]")),)


def _names(*names: str) -> Writer:
    def write(body: dict[str, Any]) -> Items:
        if body.keys() != {*names} or not all(isinstance(one, str) for one in body.values()):
            raise _Unwritable
        return tuple((f"{name}=", _literal(body[name])) for name in names)

    return write


def _object(body: dict[str, Any]) -> Items:
    return (("", _literal(body)),)


def _top_up(body: dict[str, Any]) -> Items:
    found = _read(NewTopUp, body)
    if found.currency != "EUR":
        raise _Unwritable
    method = found.payment_method_id
    more = () if method is None else (("payment_method_id=", _literal(method)),)
    return (("", _literal(found.amount)), *more)


_CALLS: Final[Mapping[tuple[str, str], tuple[Callable[..., object], Writer]]] = {
    ("POST", "/v1/messages"): (messages.send, _message),
    ("GET", "/v1/messages"): (messages.list, _nothing),
    ("GET", "/v1/messages/{id}"): (messages.get, _nothing),
    ("DELETE", "/v1/messages/{id}"): (messages.revoke, _nothing),
    ("POST", "/v1/test/register"): (testagent.register, _names("phone")),
    ("POST", "/v1/test/verify"): (testagent.verify, _names("phone", "code")),
    ("POST", "/v1/test/messages"): (testagent.send, _test_message),
    ("GET", "/v1/test/status"): (testagent.status, _nothing),
    ("POST", "/v1/rcs/agents"): (agents.create, _model(agents.NewAgent)),
    ("GET", "/v1/rcs/agents/{id}"): (agents.get, _nothing),
    ("PATCH", "/v1/rcs/agents/{id}"): (agents.update, _model(agents.AgentChanges)),
    ("POST", "/v1/rcs/agents/{id}/submit"): (agents.submit, _nothing),
    ("GET", "/v1/rcs/agents/{id}/launch"): (agents.launch_status, _nothing),
    ("POST", "/v1/contacts"): (contacts.create, _model(contacts.NewContact)),
    ("POST", "/v1/contacts/import"): (contacts.import_contacts, _import),
    ("GET", "/v1/contacts/{id}"): (contacts.get, _nothing),
    ("PATCH", "/v1/contacts/{id}"): (contacts.update, _model(contacts.ContactChanges)),
    ("DELETE", "/v1/contacts/{id}"): (contacts.delete, _nothing),
    ("GET", "/v1/contacts/{id}/consent"): (contacts.list_consents, _nothing),
    ("POST", "/v1/contacts/{id}/consent"): (contacts.create_consent, _model(contacts.NewConsent)),
    ("POST", "/v1/campaigns/{id}/trigger"): (campaigns.trigger, _nothing),
    ("POST", "/v1/campaigns/{id}/pause"): (campaigns.pause, _nothing),
    ("POST", "/v1/campaigns/{id}/resume"): (campaigns.resume, _nothing),
    ("GET", "/v1/campaigns/{id}/status"): (campaigns.status, _nothing),
    ("GET", "/v1/billing/balance"): (billing.balance, _nothing),
    ("GET", "/v1/billing/usage"): (billing.usage, _nothing),
    ("GET", "/v1/billing/usage/detailed"): (billing.detailed_usage, _nothing),
    ("GET", "/v1/billing/tier"): (billing.tier, _nothing),
    ("POST", "/v1/billing/topup"): (billing.top_up, _top_up),
    ("GET", "/v1/billing/payment-methods"): (billing.payment_methods, _nothing),
    ("POST", "/v1/billing/payment-methods"): (billing.add_payment_method, _object),
    ("GET", "/v1/billing/auto-reload"): (billing.auto_reload, _nothing),
    ("PUT", "/v1/billing/auto-reload"): (billing.set_auto_reload, _model(billing.AutoReload)),
    ("PUT", "/v1/billing/alerts"): (billing.set_alert, _model(billing.Alert)),
    ("GET", "/v1/billing/transactions"): (billing.transactions, _nothing),
    ("GET", "/v1/billing/invoices"): (billing.invoices, _nothing),
    ("POST", "/v1/webhooks"): (webhooks.create, _model(webhooks.NewEndpoint)),
    ("GET", "/v1/webhooks"): (webhooks.list, _nothing),
    ("PATCH", "/v1/webhooks/{id}"): (webhooks.update, _model(webhooks.EndpointChanges)),
    ("DELETE", "/v1/webhooks/{id}"): (webhooks.delete, _nothing),
    ("POST", "/v1/webhooks/{id}/test"): (webhooks.test, _nothing),
}
"""The call of each route, and how its body is written."""


_NOUNS: Final = frozenset(function.__module__.split(".")[1] for function, _ in _CALLS.values())


def _find(method: str, path: str) -> tuple[Callable[..., object], Writer, str] | None:
    given = path.split("/")
    for (verb, template), (function, writer) in _CALLS.items():
        if verb == method and (id_ := match_path(template.split("/"), given)) is not None:
            return function, writer, id_
    return None


def _query_items(query: str, hints: Mapping[str, Any]) -> Iterator[tuple[str, Code]]:
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=50):
        if name in _NUMBERS:
            yield f"{name}=", f"{int(value)}"
        elif name in _TIMES:
            yield f"{_TIMES[name]}=", _time(value)
        elif name in hints and _is_choice(value, hints[name]):
            yield f"{name}=", _literal(value)
        else:
            raise _Unwritable


def _is_choice(value: object, kind: Any) -> bool:  # noqa: ANN401 - any type
    """Return whether *value* is one of those that *kind* allows, if it allows only some."""
    kinds = (kind, *get_args(kind))
    choices = [one for part in kinds if get_origin(part) is Literal for one in get_args(part)]
    return value is None or not choices or value in choices


def _time(text: str) -> str:
    if len(text) == len("2026-05-04"):
        return repr(date.fromisoformat(text)).removeprefix("datetime.")
    moment = datetime.fromisoformat(text)
    return _moment(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _moment(moment: datetime) -> str:
    written = repr(moment.astimezone(UTC)).removeprefix("datetime.")
    return written.replace("datetime.timezone.utc", "UTC")


def _literal(value: Any, depth: int = 0) -> Code:  # noqa: ANN401 - a value of a model, or JSON
    if depth > _MAX_DEPTH:
        raise _Unwritable
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Decimal):
        return f"Decimal({value})" if value == int(value) else f'Decimal("{value}")'
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, tuple | list):
        ends = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        return Snippet(ends[0], tuple(("", _literal(one, depth + 1)) for one in value), ends[1])
    if isinstance(value, Mapping):
        return Snippet("{", tuple((f"{_quoted(name)}: ", _literal(one, depth + 1)) for name, one in value.items()), "}")
    return _construction(value) if attrs.has(type(value)) else repr(value)


def _construction(value: Any) -> Snippet:  # noqa: ANN401 - a model
    # `messages.Text(…)`, with the fields that do not have their defaults.
    items = []
    for one in attrs.fields(attrs.resolve_types(type(value))):
        part = getattr(value, one.name)
        if not _is_choice(part, one.type):
            raise _Unwritable
        if part != one.default:
            items.append((f"{one.name}=", _literal(part)))
    noun = type(value).__module__.split(".")[1]
    return Snippet(f"{noun}.{type(value).__name__}(", tuple(items))


def _quoted(text: str) -> str:
    # With double quotes, as formatters write them.
    written = repr(text)
    return written if written[0] == '"' or '"' in written or "\\'" in written else f'"{written[1:-1]}"'


def _words(code: Code) -> Iterator[str]:
    """Yield what code begins with, without the strings in it."""
    if isinstance(code, str):
        yield from [] if code[0] in "\"'" else [code]
        return
    yield code.head
    for _, one in code.items:
        yield from _words(one)


def _flat(code: Code) -> str:
    return code if isinstance(code, str) else code.flat()


def _lines(before: str, code: Code, after: str, indent: int) -> Iterator[str]:
    """Yield *code* between two texts, in one line if it fits, else with each item in lines of its own."""
    line = f"{' ' * indent}{before}{_flat(code)}{after}"
    if isinstance(code, str) or not code.items or len(line) <= _MAX_LINE:
        yield line
        return
    yield f"{' ' * indent}{before}{code.head}"
    for prefix, one in code.items:
        yield from _lines(prefix, one, ",", indent + 4)
    yield f"{' ' * indent}{code.tail}{after}"


def _text_of(body: bytes) -> str | None:
    try:
        return None if len(body) > MAX_CODE or b"\0" in body else body.decode()
    except UnicodeDecodeError:
        return None
