"""The configuration of Sphinx. `nox -s docs` builds the pages with warnings as errors."""

import inspect
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import get_args

from docutils import nodes
from docutils.io import StringOutput
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.text import TextBuilder
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.writers.text import TextTranslator, TextWriter

from msgapi import ApiError
from msgapi.version import VERSION
from msgapi.webhooks import Event

HERE = Path(__file__).parent
project = "msgapi"
author = "the msgapi developers"
copyright = author  # noqa: A001 - Sphinx's name
release = version = VERSION

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates", "recipes", "inventories"]
default_role = "code"
nitpicky = True  # a name of these packages must be in its inventory; our own internal types have no page
nitpick_ignore_regex = [
    ("py:.*", r"(?!(?:aiohttp|anyio|asyncio|attrs|collections|contextlib|datetime|decimal|os|pathlib|uuid)\.).*")
]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
smartquotes = False  # `--text` is an option and no dash
toc_object_entries_show_parents = "hide"
suppress_warnings = ["ref.python"]  # `type[T]` in a signature is also the end of the name of some fields


def _inventory(name: str) -> str:
    # The inventories are text files with the names that the pages refer to, so that a build needs no network.
    head, _, names = (HERE / "inventories" / f"{name}.txt").read_bytes().partition(b"\n\n")
    path = Path(mkdtemp()) / f"{name}.inv"
    _ = path.write_bytes(head + b"\n" + zlib.compress(names))
    return str(path)


intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", _inventory("python")),
    "anyio": ("https://anyio.readthedocs.io/en/stable/", _inventory("anyio")),
    "attrs": ("https://www.attrs.org/en/stable/", _inventory("attrs")),
    "aiohttp": ("https://docs.aiohttp.org/en/stable/", _inventory("aiohttp")),
}

templates_path = ["_templates"]
html_theme = "shibuya"
html_title = f"msgapi {VERSION}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["scrolling.js"]
html_search_scorer = str(HERE / "_static" / "scorer.js")  # a relative path would be one of the current directory
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "accent_color": "teal",
    "show_ai_links": False,
    "nav_links": [
        {"title": "Start", "url": "start/tutorial"},
        {"title": "How to", "url": "how-to/index"},
        {"title": "Reference", "url": "reference/index"},
        {"title": "Explanation", "url": "explanation/index"},
        {"title": "Contributing", "url": "contributing/index"},
    ],
}


def _in_order(app: Sphinx, name: str) -> Iterator[str]:
    # The pages in the order of the navigation.
    yield name
    for child in app.env.toctree_includes.get(name, ()):
        yield from _in_order(app, child)


_UNDERLINED = re.compile(r"^(?P<title>\S.*)\n(?:(?P<one>\*{3,})|={3,})$", re.MULTILINE)


class _Markdown(TextTranslator):
    # The text of docstrings with names as code.
    def visit_literal(self, _node: nodes.Element) -> None:
        self.add_text("`")

    def depart_literal(self, _node: nodes.Element) -> None:
        self.add_text("`")


def _text_of(app: Sphinx, name: str) -> str:
    # The source of a page, or of a page that is made from docstrings its text.
    source = Path(app.env.doc2path(name)).read_text(encoding="utf-8")
    if ".. auto" not in source:
        return source
    builder = TextBuilder(app, app.env)
    builder.init()
    target = StringOutput(encoding="unicode")
    text = str(TextWriter(builder).write(app.env.get_doctree(name), target))
    return _UNDERLINED.sub(lambda found: f"{'#' if found['one'] else '##'} {found['title']}", text)


def _write_text(app: Sphinx, exception: Exception | None) -> None:
    # The same pages for programs that read text: an index, and one file of everything.
    if exception is not None:
        return
    sys.path.insert(0, str(HERE))
    from generate import whole  # imports the tests of the layers

    index, everything = whole((name, _text_of(app, name)) for name in _in_order(app, app.config.root_doc))
    _ = (Path(app.outdir) / "llms.txt").write_text(index, encoding="utf-8")
    _ = (Path(app.outdir) / "msgapi.md").write_text(everything, encoding="utf-8")


_ARGUMENTS = r"\((?:[^()]|\([^()]*\))*\)"  # of the repr of a value


def _union(alias: object) -> str:
    return re.escape(" | ".join(one.__name__ for one in get_args(alias)))


_SHORTER = (
    (r"= ?NOTHING\b", "= ..."),  # attrs: a default that is made anew each time
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"<msgapi\.[\w.]*\.(\w+) object(?: at 0x\w+)?>", r"\1()"),
    (rf"= ?\((?:[A-Z]\w+{_ARGUMENTS}(?:, ?)?)+\)", "= ..."),
    (rf"(= ?)(?!Decimal)([A-Z]\w+){_ARGUMENTS}(?=[,)])", r"\1\2()"),
    (r"~?\bmsgapi(?:\.[a-z_]\w*)*\.(?=[A-Z])", ""),
    (r"(?:typing\.)?~(?=[A-Z])", ""),
    (_union(ApiError), "ApiError"),
    (r"\bOk\[([^\[\]]+|[^\[\]]*\[[^\[\]]*\])\] \| ApiError", r"Result[\1]"),
    (_union(Event), "Event"),
)
"""Patterns in a signature, and what is written instead."""
_COLON = "\ue000"  # of no docstring


def _skip_internal(_app: Sphinx, _what: str, name: str, *_others: object) -> bool | None:
    # The rules of the requests are for the sandbox and the tests; the classes of the requests document them.
    return True if name == "SCHEMAS" else None


def _document_constant(_app: Sphinx, what: str, name: str, given: object, _options: object, lines: list[str]) -> None:
    # A constant that a package re-exports has its docstring in the module that defines it. Without it, Sphinx shows the
    # docstring of its class, such as that of `str`.
    package, _, constant = name.rpartition(".")
    if what != "data" or not (type(given).__doc__ or "").startswith(lines[0] if lines else "-"):
        return
    modules = [one for one in sorted(sys.modules) if one.startswith(f"{package}.")]
    docs = [ModuleAnalyzer.for_module(one).find_attr_docs().get(("", constant)) for one in modules]
    lines[:] = next((found for found in docs if found), [])


def _hide_colon(_app: Sphinx, what: str, _name: str, _given: object, _options: object, lines: list[str]) -> None:
    # Napoleon takes the words before a colon in the first line of an attribute or a property for its type.
    if what in {"attribute", "property", "data"} and lines:
        lines[0] = lines[0].replace(":", _COLON)


def _restore_colon(_app: Sphinx, _what: str, _name: str, _given: object, _options: object, lines: list[str]) -> None:
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _mark_examples(_app: Sphinx, _what: str, _name: str, _given: object, _options: object, lines: list[str]) -> None:
    # Docstrings are plain text: an example is indented, without a mark, and a list needs no blank line before it.
    before, inside = "", False
    written: list[str] = []
    for number, line in enumerate(lines):
        if not line.strip():
            written.append(line)
            continue
        is_indented = line.startswith("    ")
        previous = lines[number - 1] if number else ""
        follows_blank = number > 0 and not previous.strip()
        if line.startswith("- ") and previous.strip() and not previous.startswith(("- ", "  ")):
            written.append("")
        if is_indented and follows_blank and not inside and not before.startswith(("- ", "* ", " ", "..")):
            written += [".. code-block:: python", ""]
            inside = True
        elif not is_indented:
            inside, before = False, line
        written.append(line)
    lines[:] = written


def _context_manager(name: str, returned: str) -> str:
    return re.sub(r"(collections\.abc\.)?(Async)?Iterator", f"contextlib.{name}", returned, count=1)


def _shorten_signature(
    _app: Sphinx, what: str, _name: str, given: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    wrapped = inspect.unwrap(given) if inspect.isroutine(given) else None
    if wrapped is not given and returned is not None:  # a context manager is written as a generator
        if inspect.isasyncgenfunction(wrapped):
            returned = _context_manager("AbstractAsyncContextManager", returned)
        elif inspect.isgeneratorfunction(wrapped):
            returned = _context_manager("AbstractContextManager", returned)

    def short(text: str | None) -> str | None:
        for pattern, replacement in _SHORTER:
            text = text and re.sub(pattern, replacement, text)
        return text

    if signature == "(*args, **kwargs)" and what == "class":  # of a protocol
        return "", None
    return short(signature), short(returned)


def _write_dashes(_app: Sphinx, doctree: nodes.document) -> None:
    # Between a parameter and what it means; elsewhere two hyphens begin an option.
    for text in [one for one in doctree.findall(nodes.Text) if one == " -- "]:
        text.parent.replace(text, nodes.Text(" \u2013 "))


_LONGEST_WORD = 30  # characters of code that fit on a line of a phone
_LONGEST_PHRASE = 50  # characters in a narrow cell of a table


def _mark_lengths(_app: Sphinx, doctree: nodes.document) -> None:
    # For the style sheet: words of code are not broken, unless they are long, and a sentence is no narrow column.
    for literal in doctree.findall(nodes.literal):
        if max(map(len, literal.astext().split()), default=0) > _LONGEST_WORD:
            literal["classes"].append("long")
    for cell in doctree.findall(nodes.entry):
        if len(cell.astext()) > _LONGEST_PHRASE:
            cell["classes"].append("sentence")


def _hide_decisions(_app: Sphinx, env: BuildEnvironment) -> None:
    # The sidebar of every page has the index of the decisions, and not each of them.
    for toctree in list(env.tocs["decisions/index"].findall(addnodes.toctree)):
        toctree.parent.remove(toctree)


def setup(app: Sphinx) -> None:
    """Connect the functions of this file."""
    app.set_translator("text", _Markdown)
    _ = app.connect("autodoc-process-docstring", _document_constant)
    _ = app.connect("autodoc-process-docstring", _mark_examples)
    _ = app.connect("autodoc-process-docstring", _hide_colon, priority=490)
    _ = app.connect("autodoc-process-docstring", _restore_colon, priority=510)  # that of Napoleon is 500
    _ = app.connect("autodoc-skip-member", _skip_internal)
    _ = app.connect("autodoc-process-signature", _shorten_signature)
    _ = app.connect("doctree-read", _write_dashes)
    _ = app.connect("doctree-read", _mark_lengths)
    _ = app.connect("env-updated", _hide_decisions)
    _ = app.connect("build-finished", _write_text)
