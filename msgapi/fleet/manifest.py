"""Manifest: what a batch on a fleet is, and how far it is queued: the first of its records.

Rules:
- It is written before the first chunk is queued, so that no chunk is of a batch that nobody knows.
- A batch is of one source: under its name nothing else is queued, since its keys derive from that name.
- What cuts the rows into chunks stands here, so that a later run cuts them alike.
"""

import re
from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, field, frozen

from ..codec import Problems, dump, load
from .chunk import SIZE
from .records import Records

NAME: Final = "manifest"
"""The record that it is."""

MOST_BYTES: Final = 256 << 10
"""Bytes of rows in a chunk; a row that is longer is a chunk of its own."""

_VERSION: Final = 1
_FIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@final
@frozen(kw_only=True)
class Manifest:
    """What the *batch* is: *source* tells its rows from others, *about* is for whoever reads its journal.

    It was begun *at* this Unix time. So many chunks are *put*; *chunks* is how many there are, once all of them are.
    A chunk has up to *size* rows, and up to *most* bytes of them.
    """

    batch: str
    source: str
    rows: int
    about: Mapping[str, str] = field(factory=dict, repr=False)
    at: float = 0.0
    put: int = 0
    chunks: int | None = None
    size: int = SIZE
    most: int = MOST_BYTES
    version: int = _VERSION


@final
class Taken(Exception):
    """The name of a batch stands for another one: the text says which is which."""


def fit(name: str) -> bool:
    """Tell whether *name* can be that of a batch or a fleet: up to 64 of `A-Z a-z 0-9 . _ -`, no sign first."""
    return _FIT.fullmatch(name) is not None


async def begun(records: Records, manifest: Manifest, now: float) -> Manifest:
    """Write *manifest* as begun at the Unix time *now*, unless its batch has one.

    That is given back then, and must be of the same source, else it is `Taken`.
    """
    if not fit(manifest.batch):
        raise ValueError(f"a batch is named by up to 64 of A-Z a-z 0-9 . _ -, not {manifest.batch!r}")
    manifest = evolve(manifest, at=now)
    if await records.write(manifest.batch, NAME, dump(manifest), 0):
        return manifest
    there = await found(records, manifest.batch)
    if there is None or there.source != manifest.source:
        raise Taken(f"the batch {manifest.batch} is of other rows: finish it by its own file, or name another batch")
    return there


async def found(records: Records, batch: str) -> Manifest | None:
    """Read the manifest of *batch*; None if there is no such batch. One of a later version is `Taken`."""
    value, _ = await records.read(batch, NAME)
    return None if value is None else loaded(batch, value)


async def noted(records: Records, manifest: Manifest) -> Manifest:
    """Write how far *manifest* is queued, unless another has queued more of it; gives what stands there then."""
    while True:
        value, revision = await records.read(manifest.batch, NAME)
        there = manifest if value is None else loaded(manifest.batch, value)
        further = evolve(there, put=max(there.put, manifest.put), chunks=there.chunks or manifest.chunks)
        if await records.write(manifest.batch, NAME, dump(further), revision):
            return further


def loaded(batch: str, value: bytes) -> Manifest:
    """Read the manifest of *batch* that was written as *value*."""
    manifest = load(value, Manifest)
    if isinstance(manifest, Problems) or manifest.version != _VERSION:
        raise Taken(f"the batch {batch} was queued by another version of msgapi-sdk: finish it with that one")
    return manifest
