"""Write the pages and pictures that are made from the code: `python docs/generate.py`.

`tests/docs/test_generated.py` checks that they are what the code makes of them.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from html import escape
from inspect import getdoc
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import attrs
import click

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
sys.path.insert(0, str(ROOT))

from msgapi import messages, sandbox, webhooks  # noqa: E402 - the path comes first
from msgapi.cli.app import COMMANDS, GROUPS, load, program  # noqa: E402
from msgapi.cli.options import group_of  # noqa: E402
from msgapi.journal.resumption import SETTLED_STATES, State  # noqa: E402
from msgapi.sandbox.contract_gaps.account import ACCOUNT  # noqa: E402
from msgapi.sandbox.contract_gaps.messages import MESSAGES  # noqa: E402
from msgapi.sandbox.contract_gaps.requests import REQUESTS  # noqa: E402
from tests.sandbox.test_layers import LAYERS  # noqa: E402
from tests.test_layers import ORDER  # noqa: E402

_NOTE: Final = "<!-- written by docs/generate.py -->"
_WORDS: Final = re.compile(
    r"(?:collections\.abc\.|datetime\.|decimal\.|typing\.|msgapi\.[\w.]*\.)(?=[A-Z])|datetime\.(?=datetime)"
)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    written = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(lines[0]), *written[1:]])


def _type_of(given: Any) -> str:  # noqa: ANN401 - an annotation
    text = given.__name__ if isinstance(given, type) and not hasattr(given, "__args__") else str(given)
    return _WORDS.sub("", text)


def _plain(text: str) -> str:
    # A docstring as one line of Markdown, in which its *parameters* are in italics.
    return " ".join(text.split())


def events() -> str:
    """Return the page of the events."""
    parts = [
        "# Events",
        _NOTE,
        _plain("""The events that the service sends to webhook endpoints. An endpoint subscribes to them by
                name. Each class has `id`, the id of the event; `timestamp`, the time at which it
                happened; and `extra`, the fields that the class does not define. A field that is missing
                in the delivery is None. An event with another name is a `webhooks.UnknownEvent`."""),
        _plain(f"""On the wire a delivery is a POST request with the JSON object
                `{{"id", "event", "timestamp", "data"}}`; the other fields are in `data`. The header
                `{webhooks.SIGNATURE_HEADER}` is `sha256=` and the HMAC-SHA256 of the raw body with the secret of
                the endpoint, in hexadecimal."""),
    ]
    for name, model in webhooks.EVENT_TYPES.items():
        fields = [one for one in attrs.fields(model) if one.name not in {"id", "timestamp", "extra"}]
        rows = [(f"`{one.name}`", f"`{_type_of(one.type)}`") for one in fields]
        text = [_plain(part) for part in (getdoc(model) or "").split("\n\n")]
        parts += [f"## {name}", f"`webhooks.{model.__name__}`: {text[0]}", *text[1:]]
        parts += [_table(("field", "type"), rows)] if rows else []
    return "\n\n".join(parts) + "\n"


def magic_recipients() -> str:
    """Return the page of the recipients with a fixed effect."""
    faults = [(f"`{one.phone}`", f"`{one.email}`", one.effect) for one in sandbox.MAGIC_RECIPIENTS]
    ends = [(f"`{one.phone or one.email}`", one.effect) for one in sandbox.DELIVERY_OUTCOMES]
    return "\n\n".join(
        [
            "# Magic recipients",
            _NOTE,
            _plain("""Recipients of the sandbox that have the same effect every time. The numbers are from a
                range that is reserved for fiction. `msgapi sandbox --list-recipients` prints them, too."""),
            "## The send fails",
            "Every send to one of these recipients has this answer:",
            _table(("phone", "email", "what happens"), faults),
            "## The delivery fails",
            "A message to one of these recipients is accepted, and then",
            _table(("recipient", "what happens"), ends),
            "A message to any other recipient is sent, delivered and read after the seconds of `Timing`.\n",
        ]
    )


def sandbox_decisions() -> str:
    """Return the page of what the sandbox decides."""
    subjects: Mapping[str, Iterable[sandbox.Decision]] = {
        "Requests": REQUESTS,
        "Messages": MESSAGES,
        "The account": ACCOUNT,
    }
    parts = [
        "# What the sandbox decides",
        _NOTE,
        _plain("""The public documentation of the service leaves much open, and contradicts itself in
                places. In each case the sandbox does what is safest for a program that is tested
                against it. `sandbox.DECISIONS` has this list as data; in the repository it is
                `msgapi/sandbox/contract_gaps/`."""),
    ]
    for subject, decisions in subjects.items():
        parts += [
            f"## {subject}",
            _table(("what", "the sandbox", "because"), ((one.topic, one.choice, one.why) for one in decisions)),
        ]
    rows = [(f"{one.status}", f"`{one.code}`", one.when, "yes" if one.documented else "") for one in sandbox.CODES]
    parts += ["## Error codes", _table(("status", "code", "when", "documented"), rows)]
    return "\n\n".join(parts) + "\n"


DECISIONS: Final = HERE / "decisions"
AREAS: Final = {
    "calls and results": "What a call is, what it returns, and the client that carries it out.",
    "blocking client": "The client for synchronous programs.",
    "retry and pace": "When a call is repeated, and how fast requests leave. How a batch waits is below.",
    "json and models": "How answers are read, and how requests and results are written.",
    "transports": "Connections, time limits, proxies and the HTTP libraries.",
    "batch and journal": "What a row is, when it is sent again, and what stops a batch.",
    "fallback": "One message over one channel after another.",
    "files and recipients": "What is read from a file, what is refused, and how recipients are written.",
    "command line": "Commands, profiles, output and exit statuses.",
    "reports": "What is kept of a run, and how it is shown.",
    "fleet": "One batch sent by several workers.",
    "webhooks": "Receiving events once, and what they say about a message.",
    "telemetry": "Observers, traces and differences to the documentation.",
    "sandbox": "The model of the service, its control plane and its server.",
    "page of the sandbox": "What the browser shows.",
    "testing": "Clocks, recordings and fixtures for tests, and the tests of this package.",
    "layout and packaging": "Modules, layers, imports and extras.",
    "documentation": "How these pages are kept.",
}
"""What the decisions of each area are about, in the order of the index."""
_RECORD: Final = re.compile(
    r"# (?P<number>\d{4})\. (?P<title>[^\n]+)\n\nStatus: (?P<status>[^\n]+)\n\nArea: (?P<area>[^\n]+)\n\n"
    r"## Context\n\n(?P<context>.+)\n\n## Decision\n\n(?P<decision>.+)\n\n## Consequences\n\n(?P<consequences>.+)\n",
    re.DOTALL,
)
_SOURCE: Final = re.compile(r"`((?:msgapi|tests|docs|benchmarks)/[\w/.-]+|noxfile\.py)`")


def records() -> dict[str, Mapping[str, str]]:
    """Return the parts of each record of a decision, by the name of its file. Raise ValueError for another form."""
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        match = _RECORD.fullmatch(path.read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{path.name} has not the form of docs/decisions/template.md")
        found[path.name] = match.groupdict()
    return found


def decisions() -> str:
    """Return the index of the decisions: by area, and by the files that the records name."""
    by_area: dict[str, list[str]] = {area: [] for area in AREAS}
    by_file: dict[str, list[str]] = {}
    known = records()
    for name, record in known.items():
        replaced = "" if record["status"] == "accepted" else f" ({record['status']})"
        by_area[record["area"]].append(f"- [{record['number']}. {record['title']}]({name}){replaced}")
        for source in dict.fromkeys(_SOURCE.findall(record["decision"])):
            by_file.setdefault(source, []).append(f"[{record['number']}]({name})")
    parts = [
        "# Decisions",
        _NOTE,
        _plain("""Why the design is as it is. Look for a question under its area, or for a file at the end of the page.
                Each record says what the problem was, what is done, and what follows, also what was given up. What
                the sandbox does where the documentation of the API is silent is
                [a list of its own](../explanation/sandbox-decisions.md)."""),
    ]
    for area, about in AREAS.items():
        parts += [f"## {area[0].upper()}{area[1:]}".replace("Json", "JSON"), about, "\n".join(by_area[area])]
    rows = [(f"`{source}`", ", ".join(numbers)) for source, numbers in sorted(by_file.items())]
    names = "\n".join(name.removesuffix(".md") for name in known)
    parts += ["## By file", _table(("file", "decisions"), rows), f"```{{toctree}}\n:hidden:\n\n{names}\n```"]
    return "\n\n".join(parts) + "\n"


def units() -> str:
    """Return the page of prices and units."""
    prices = sandbox.PriceList()
    names = {
        "basic_message": "a text of up to 160 characters without suggestions",
        "single_message": "a longer text, or a message with a card, media or suggestions",
        "conversation": "a conversation session of 24 hours with one recipient; its messages are free",
        "mau": "a newsletter recipient in a calendar month; further newsletters in it are free",
        "email": "an email",
    }
    rows = [(f"`{name}`", text, f"{getattr(prices, name)}") for name, text in names.items()]
    cases = ", ".join(f"`{name}`" for name in messages.USE_CASES)
    return "\n\n".join(
        [
            "# Prices and units",
            _NOTE,
            _plain("""A message costs one *unit*, which depends on its content and its message type. The
                amount is put on hold when the message is accepted, debited when it is delivered, and
                released when it fails, expires or is revoked."""),
            _table(("unit", "what it is for", "EUR in the sandbox"), rows),
            _plain("""The prices of the sandbox are illustrative: set your own with
                `Sandbox(prices=PriceList(...))`, and give those of your account to `msgapi batch
                --price basic=0.07` and `billing.Prices`. `messages.unit(message)` is the unit of a text
                or card as far as the message alone decides it, and `billing.estimate` adds up a batch."""),
            _plain("""An amount is a `decimal.Decimal` of EUR, never a float, and is not rounded: sums are exact,
                and an amount of the service is read with all its decimal places (up to 15 digits; four places in
                the list of messages, such as `Decimal("0.0700")`). Amounts that you send, of a top-up, a reload
                or an alert, have whole cents; others are `Invalid`. Only what is missing for the rest of a batch
                after a 402 (`missing` of `--json`) is rounded, up to the cent."""),
            _plain(f"""Durations, such as those of timeouts,
                are seconds, as a float or an int. The `ttl` of a message is text with a unit, such as `"900s"`. Times
                are `datetime` with a zone. The use cases of an agent are {cases}.""")
            + "\n",
        ]
    )


_NOTEBOOK: Final = HERE / "recipes" / "notebook.ipynb"


def notebook() -> str:
    """Return the page that shows the cells of the notebook."""
    parts = list[str]()
    for cell in json.loads(_NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        block = f"<!-- not run: tests/recipes runs the cells -->\n```python\n{source}\n```"
        parts.append(block if cell["cell_type"] == "code" else source)
    title, _, text = parts[0].partition("\n\n")
    link = f"[`{_NOTEBOOK.name}`](../recipes/{_NOTEBOOK.name}) has these cells. "
    more = "[Where the client lives](where-the-client-lives.md) is about other kinds of programs."
    return "\n\n".join([title, _NOTE, text, link + more, *parts[1:]]) + "\n"


_TOKEN: Final = re.compile(
    r"(?P<code>`[^`]+`)|(?P<name>(?<![\w/-])--?[A-Za-z][\w-]*(?:=[A-Z]+)?|\w+_\w+|\{[^{}]+\}|\{\{|\}\})|(?P<mark>[\\*_<>\[\]])"
)


def _prose(text: str) -> str:
    # A paragraph of a help text as Markdown: options, names and placeholders are code, and nothing else is markup.
    def write(match: re.Match[str]) -> str:
        return match["code"] or (f"`{match['name']}`" if match["name"] else f"\\{match['mark']}")

    return _TOKEN.sub(write, " ".join(text.split()))


def _help(text: str) -> list[str]:
    # The paragraphs of a help text. One that begins with click's \b keeps its lines: it is an example or a table.
    parts = []
    for part in dedent(text).strip().split("\n\n"):
        first, _, rest = part.partition("\n")
        parts.append(f"```text\n{dedent(rest).rstrip()}\n```" if first.strip() == "\b" else _prose(part))
    return parts


def _value_of(option: click.Option) -> str:
    # What an option takes, as its help has it, whatever the version of click.
    if option.is_flag or option.count:
        return ""
    if option.metavar:
        return f" {option.metavar}"
    if isinstance(option.type, click.Choice):
        return f" [{'|'.join(map(str, option.type.choices))}]"
    return f" {option.type.name.upper()}"


def _options(command: click.Command) -> list[str]:
    # One table for each group of options, the others last, as in the help.
    tables: dict[str, list[tuple[str, str]]] = {}
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    for option in sorted(options, key=lambda one: group_of(one) == "Options"):
        names = ", ".join(f"`{name}`" for name in option.opts[:-1])
        last = f"`{option.opts[-1]}{_value_of(option)}`"
        default = f" The default is `{option.default}`." if option.show_default is True else ""
        text = _prose(option.help or "") + (" Required." if option.required else "") + default
        tables.setdefault(group_of(option), []).append((f"{names}, {last}" if names else last, text))
    return [
        part for title, rows in tables.items() for part in (f"**{title}**", _table(("option", "what it does"), rows))
    ]


def commands() -> str:
    """Return the page of the commands."""
    parts = [
        "# Commands",
        _NOTE,
        _prose("""`msgapi` and `python -m msgapi` are the same program (extra `cli`). `--help` after any command prints
                what is here, and most commands take `--json`.""")
        + " [The command line](../how-to/command-line.md) says what the commands are for.",
        "## msgapi",
        *_help(program.help or ""),
    ]
    for name in COMMANDS:
        group = name.rpartition(" ")[0]
        heading = f"## msgapi {group}"
        if group in GROUPS and heading not in parts:
            parts += [heading, *_help(GROUPS[group][1])]
        command = load(name)
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        words = [f"{one.metavar or (one.name or '').upper()}{'...' if one.nargs == -1 else ''}" for one in arguments]
        usage = [word if one.required else f"[{word}]" for word, one in zip(words, arguments, strict=True)]
        line = " ".join(["msgapi", name, "[OPTIONS]", *usage])
        level = "###" if group else "##"
        parts += [f"{level} msgapi {name}", f"```text\n{line}\n```", *_help(command.help or ""), *_options(command)]
    return "\n\n".join(parts) + "\n"


_WIDTH: Final = 760
_ROW: Final = 46


def _layers() -> list[tuple[str, list[str]]]:
    # Groups of the order in tests/test_layers.py, from the top of the picture to its bottom.
    named = {
        "programs": ["cli", "__main__", "pytest_plugin", "testing"],
        "around a client": ["sandbox", "telemetry", "fleet", "blocking", "batch", "journal"],
        "the client": ["client", "transports"],
        "nouns of the API": [
            "webhooks", "testagent", "campaigns", "contacts", "agents", "billing", "messages", "recipients",
        ],
        "values and JSON": ["schema", "ratelimit", "decode", "retry", "codec", "observe", "fallback"],
        "values": ["calls", "results", "http"],
        "tools": ["clock", "concurrency", "codegen", "config", "models", "redact", "version"],
    }  # fmt: skip
    left = [name for name in ORDER if not any(name in names for names in named.values())]
    if left:
        raise ValueError(f"the picture has no place for {left}")
    return [(title, [name for name in names if name in ORDER]) for title, names in named.items()]


def layers() -> str:
    """Return the picture of the layers, as SVG."""
    rows, parts = _layers(), list[str]()
    for number, (title, names) in enumerate(rows):
        y = 10 + number * _ROW
        parts.append(f'<rect x="10" y="{y}" width="{_WIDTH - 20}" height="{_ROW - 6}" rx="6" fill="#eef6f4"/>')
        parts.append(f'<text x="22" y="{y + 25}" fill="#0f5f56" font-weight="600">{escape(title)}</text>')
        parts.append(f'<text x="216" y="{y + 25}" fill="#1c2b29">{escape(", ".join(names))}</text>')
    y = len(rows) * _ROW + 30
    parts.append(f'<text x="22" y="{y}" fill="#1c2b29">Each layer imports only from those below it.</text>')
    middle = -(-len(LAYERS) // 2)
    inside = [" &#8594; ".join(LAYERS[:middle]) + " &#8594;", " &#8594; ".join(LAYERS[middle:])]
    for number, line in enumerate(["In the sandbox, from below:", *inside]):
        parts.append(f'<text x="22" y="{y + 22 + 18 * number}" fill="#1c2b29">{line}</text>')
    description = "Each file imports only from its own layer and from those below it."
    return _picture(len(rows) * _ROW + 102, "The layers of msgapi", description, parts)


def _picture(height: int, title: str, description: str, parts: Iterable[str]) -> str:
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f"<title>{title}</title>",
        f"<desc>{description}</desc>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#fff"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(x: int, y: int, title: str, text: str, fill: str = "#eef6f4") -> list[str]:
    return [
        f'<rect x="{x}" y="{y}" width="190" height="48" rx="6" fill="{fill}" stroke="#0f5f56"/>',
        f'<text x="{x + 95}" y="{y + 20}" fill="#0f5f56" font-weight="600" text-anchor="middle">{escape(title)}</text>',
        f'<text x="{x + 95}" y="{y + 37}" fill="#1c2b29" font-size="11" text-anchor="middle">{escape(text)}</text>',
    ]


def _arrow(x: int, y: int, to: tuple[int, int], text: str, *, at: tuple[int, int]) -> list[str]:
    return [
        f'<path d="M{x} {y}L{to[0]} {to[1]}" stroke="#1c2b29" fill="none" marker-end="url(#end)"/>',
        f'<text x="{at[0]}" y="{at[1]}" fill="#1c2b29" font-size="11" text-anchor="middle">{escape(text)}</text>',
    ]


_ENDS: Final = {
    State.ACCEPTED: ("carried out", "the next run skips it"),
    State.REFUSED: ("refused because of the row", "skipped, unless it is changed"),
    State.NOT_SENT: ("certainly not carried out", "the next run sends it"),
    State.UNKNOWN: ("no answer, or the process was killed", "sent again under the same key"),
}
"""What an answer says about a row that was started, and what the next run does, by the state that follows."""


def row_states() -> str:
    """Return the picture of the states of a row in a journal, as SVG."""
    height = 16 + 74 * len(_ENDS)
    middle = height // 2
    parts = [
        (
            '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#1c2b29"/></marker></defs>'
        ),
        *_box(16, middle - 24, "not recorded", "no byte has left"),
        *_arrow(206, middle, (282, middle), "recorded", at=(244, middle - 8)),
        *_box(284, middle - 24, State.STARTED.name.lower(), "then the request leaves"),
    ]
    for number, (state, (answer, following)) in enumerate(_ENDS.items()):
        y = 24 + 74 * number
        fill = "#eef6f4" if state in SETTLED_STATES else "#fdf3e0"
        parts += _box(554, y, state.name.lower().replace("_", " "), following, fill)
        parts += _arrow(474, middle, (552, y + 24), answer, at=(649, y - 6))
    parts.append(f'<text x="16" y="{height - 12}" fill="#1c2b29" font-size="11">Orange: not settled.</text>')
    description = (
        "A row is started before it is sent. By the answer it is then accepted, refused, not sent or unknown."
        " The next run sends rows that are not sent, and rows that are unknown under the same key."
    )
    return _picture(height, "The states of a row in a journal", description, parts)


GENERATED: Final = {
    "decisions/index.md": decisions,
    "how-to/notebook.md": notebook,
    "reference/commands.md": commands,
    "reference/events.md": events,
    "reference/magic-recipients.md": magic_recipients,
    "reference/units.md": units,
    "explanation/sandbox-decisions.md": sandbox_decisions,
    "images/layers.svg": layers,
    "images/row-states.svg": row_states,
}
"""The generated files below docs/, and what makes each."""


_SECTIONS: Final = {
    "start": "Start",
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
    "contributing": "Contributing",
    "decisions": "Optional",  # the name that https://llmstxt.org gives to what can be left out
}
"""The headings of llms.txt, by the directory of a page."""
_TOCTREE: Final = re.compile(r"^```\{toctree\}\n.*?^```\n+", re.MULTILINE | re.DOTALL)
_INCLUDED: Final = re.compile(
    r"^```\{(?P<how>include|literalinclude)\} (?P<path>\S+)\n(?::[^\n]*\n)*```$", re.MULTILINE
)
_LANGUAGES: Final = {".py": "python", ".yaml": "yaml", ".yml": "yaml"}


def with_included(text: str, folder: Path) -> str:
    """Return the *text* of a page in *folder* with the files that it includes, code as blocks with its name."""

    def write(match: re.Match[str]) -> str:
        file = folder / match["path"]
        content = file.read_text(encoding="utf-8").strip()
        block = f"`{file.name}`:\n\n```{_LANGUAGES.get(file.suffix, 'text')}\n{content}\n```"
        return content if match["how"] == "include" else block

    return _INCLUDED.sub(write, text)


def whole(pages: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the text of llms.txt, an index of *pages* (path and Markdown), and of one file with all of them."""
    lists: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    everything: list[str] = []
    for path, source in pages:
        text = with_included(source, (HERE / path).parent)
        title = next((line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")), path)
        lists.get(path.partition("/")[0], []).append(f"- [{title}]({path}.html)")
        everything.append(f"<!-- {path} -->\n\n{_TOCTREE.sub('', text).strip()}\n")
    index = [
        "# msgapi",
        "> The async Python SDK for the Arowana messaging API (RCS and email), unofficial.",
        "[msgapi.md](msgapi.md) has the text of all these pages in one file.",
        *(f"## {_SECTIONS[name]}\n\n" + "\n".join(links) for name, links in lists.items() if links),
    ]
    return "\n\n".join(index) + "\n", "\n".join(everything)


if __name__ == "__main__":
    for name, make in GENERATED.items():
        target = HERE / name
        target.parent.mkdir(exist_ok=True)
        _ = target.write_text(make(), encoding="utf-8")
