"""The configuration of Sphinx. `nox -s docs` builds the pages with warnings as errors."""

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
    "sphinx_click",
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


def setup(app: Sphinx) -> None:
    """Write the text files when the pages are built."""
    _ = app.connect("build-finished", _write_text)
