"""The README and the pages of the documentation as data: their code blocks, headings, links and prose.

A comment in the line before a block says what the block is:

- `<!-- file: NAME -->`: a file of this name, which later blocks of the page use.
- `<!-- output -->`: what the block before it prints. `...` stands for any text.
- `<!-- not run: REASON -->`: a block that no test runs.
- `<!-- exit: N -->`: a block of commands of which the last ends with this exit status.

Blocks of Python and of commands (`shell`) without such a comment are run, in the order of the page, in one directory.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from attrs import frozen

ROOT: Final = Path(__file__).parents[2]
_LINE: Final = re.compile(
    r"^<!-- (?P<kind>file|output|not run|exit)(?:: (?P<value>[^\n]+?))? -->\n|^(?P<level>#{1,4}) (?P<heading>[^\n]+)\n"
    r"|^(?P<fence>`{3,}|:{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@final
@frozen(kw_only=True)
class Block:
    """One fenced block: its *language*, the *heading* above it, and the comment before it, if there is one.

    *number* counts the blocks of the same language under the same heading from 0.
    """

    page: str
    heading: str
    number: int
    line: int
    language: str
    code: str
    kind: str | None = None
    value: str | None = None

    @property
    def place(self) -> str:
        """Where the block is, for a message."""
        return f"{self.page}:{self.line}"


@final
@frozen(kw_only=True)
class Page:
    """A page: its *path* below the top of the project, its text, and its blocks."""

    path: str
    text: str
    blocks: tuple[Block, ...]
    headings: tuple[str, ...]

    @property
    def prose(self) -> str:
        """The text without the blocks."""
        return _LINE.sub(lambda match: match[0] if match["fence"] is None else "\n", self.text)


def _read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    name = str(path.relative_to(ROOT))
    return Page(path=name, text=text, blocks=tuple(_blocks(name, text)), headings=tuple(_headings(text)))


def _headings(text: str) -> Iterator[str]:
    return (match["heading"] for match in _LINE.finditer(text) if match["heading"])


def _blocks(page: str, text: str) -> Iterator[Block]:
    heading, comment, counts = "", None, dict[tuple[str, str], int]()
    for match in _LINE.finditer(text):
        if match["heading"]:
            heading = match["heading"]
        elif match["kind"]:
            comment = match
            continue
        else:
            language = match["language"].strip()
            number = counts.get((heading, language), 0)
            counts[heading, language] = number + 1
            is_near = comment is not None and comment.end() == match.start()
            yield Block(
                page=page,
                heading=heading,
                number=number,
                line=text.count("\n", 0, match.start()) + 1,
                language=language,
                code=match["code"],
                kind=comment["kind"] if comment is not None and is_near else None,
                value=comment["value"] if comment is not None and is_near else None,
            )
        comment = None


PAGES: Final = tuple(
    _read(path)
    for path in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    if not {"_build", "recipes"} & set(path.parts)
)
"""The texts at the top of the project and every page, in the order of their paths."""
EXAMPLES: Final = {
    (block.page, block.heading, block.number): block.code
    for page in PAGES
    for block in page.blocks
    if block.language == "python"
}
"""The examples in Python, by page, heading and number."""
PLUGINS: Final = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "anyio.pytest_plugin,msgapi.pytest_plugin"}
"""The environment of pytest with the plugins that a reader has installed. To load all of this project takes seconds."""
