"""The configuration of Sphinx. `nox -s docs` builds the pages with warnings as errors."""

import re
import sys
import zlib
from pathlib import Path
from tempfile import mkdtemp

from sphinx.application import Sphinx

from msgapi.version import VERSION

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
exclude_patterns = ["_build", "recipes", "inventories"]
default_role = "code"
nitpicky = False  # annotations name internal types, which have no page

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # defaults as they are written, not the repr of their values
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

html_theme = "shibuya"
html_title = f"msgapi {VERSION}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
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


def _write_text(app: Sphinx, exception: Exception | None) -> None:
    # The same pages for programs that read text: an index, and one file of everything.
    if exception is not None:
        return
    sys.path.insert(0, str(HERE))
    from generate import whole  # imports the tests of the layers

    found = app.env.found_docs
    index, everything = whole(
        (name, Path(app.env.doc2path(name)).read_text(encoding="utf-8")) for name in sorted(found)
    )
    _ = (Path(app.outdir) / "llms.txt").write_text(index, encoding="utf-8")
    _ = (Path(app.outdir) / "msgapi.md").write_text(everything, encoding="utf-8")


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


def _shorten_signature(
    _app: Sphinx, _what: str, _name: str, _given: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    # attrs has NOTHING for a default that is made anew each time; and names of modules say nothing to a reader.
    def short(text: str | None) -> str | None:
        return text and re.sub(r"~?\bmsgapi(?:\.[a-z_]\w*)+\.(?=[A-Z])", "", re.sub(r"= ?NOTHING\b", "= ...", text))

    return short(signature), short(returned)


def setup(app: Sphinx) -> None:
    """Connect the functions of this file."""
    _ = app.connect("autodoc-process-docstring", _mark_examples)
    _ = app.connect("autodoc-process-signature", _shorten_signature)
    _ = app.connect("build-finished", _write_text)
