"""The manifest: what a batch on a fleet is, and how much of it is queued; the first record of the batch.

Rules:
- It is written before the first chunk is queued, so that each chunk belongs to a known batch.
- A batch has one source: no other rows are queued under its name, since the keys derive from the name.
- The sizes that cut the rows into chunks are stored here, so that a later run cuts them alike.
"""

import re
from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, field, frozen

from ...codec import Problems, dump, load
from ..backend import RecordStore
from ..chunk import DEFAULT_CHUNK_ROWS

NAME: Final = "manifest"
"""The name of the document."""

DEFAULT_CHUNK_BYTES: Final = 256 << 10
"""Bytes of rows in a chunk; a longer row is a chunk of its own."""

_VERSION: Final = 1
_VALID_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@final
@frozen(kw_only=True)
class Manifest:
    """A *batch* of so many *rows*: *source* identifies them, such as a hash; *about* is copied into its journal.

    *created_at* is the Unix time at which queueing began, *chunks_queued* the number of chunks queued so far, and
    *chunks_total* the number of all chunks, None until all are queued. A chunk has up to *rows_per_chunk* rows and up
    to *bytes_per_chunk* bytes of them.
    """

    batch: str
    source: str
    rows: int
    about: Mapping[str, str] = field(factory=dict, repr=False)
    created_at: float = 0.0
    chunks_queued: int = 0
    chunks_total: int | None = None
    rows_per_chunk: int = DEFAULT_CHUNK_ROWS
    bytes_per_chunk: int = DEFAULT_CHUNK_BYTES
    version: int = _VERSION


@final
class FleetConflict(Exception):
    """A name is in use already: that of a batch by other rows, or that of a fleet by another API key.

    Also raised for a batch that another version of this package queued. The message says which it is.
    """


def is_valid_name(name: str) -> bool:
    """Return whether a batch or a fleet can have this *name*: 1 to 64 of `A-Z a-z 0-9 . _ -`, no sign first."""
    return _VALID_NAME.fullmatch(name) is not None


async def begin_batch(records: RecordStore, manifest: Manifest, now: float) -> Manifest:
    """Store *manifest* as begun at the Unix time *now*, and return it; return the stored one if there is one.

    Raise ValueError if the name of the batch is invalid, and `FleetConflict` if the stored manifest has another source
    or another version.
    """
    if not is_valid_name(manifest.batch):
        raise ValueError(f"a batch is named by up to 64 of A-Z a-z 0-9 . _ -, not {manifest.batch!r}")
    manifest = evolve(manifest, created_at=now)
    if await records.write(manifest.batch, NAME, dump(manifest), 0):
        return manifest
    stored = await read_manifest(records, manifest.batch)
    if stored is None or stored.source != manifest.source:
        raise FleetConflict(
            f"the batch {manifest.batch} is of other rows: finish it by its own file, or name another batch"
        )
    return stored


async def read_manifest(records: RecordStore, batch: str) -> Manifest | None:
    """Return the manifest of *batch*, None if there is no such batch; raise `FleetConflict` if of another version."""
    value, _ = await records.read(batch, NAME)
    return None if value is None else parse_manifest(batch, value)


async def record_progress(records: RecordStore, manifest: Manifest) -> Manifest:
    """Store how many chunks of *manifest* are queued; return the stored manifest, in which another may be further."""
    while True:
        value, revision = await records.read(manifest.batch, NAME)
        stored = manifest if value is None else parse_manifest(manifest.batch, value)
        merged = evolve(
            stored,
            chunks_queued=max(stored.chunks_queued, manifest.chunks_queued),
            chunks_total=stored.chunks_total or manifest.chunks_total,
        )
        if await records.write(manifest.batch, NAME, dump(merged), revision):
            return merged


def parse_manifest(batch: str, value: bytes) -> Manifest:
    """Parse the stored manifest of *batch*; raise `FleetConflict` if it is of another version or damaged."""
    manifest = load(value, Manifest)
    if isinstance(manifest, Problems) or manifest.version != _VERSION:
        raise FleetConflict(f"the batch {batch} was queued by another version of msgapi-sdk: finish it with that one")
    return manifest
