"""The configuration of `msgapi batch`, and the part of it that a journal stores."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, final

from attrs import evolve, field, frozen

from .template import MessageTemplate

MESSAGE_FIELDS: Final = (
    "message_values",
    "to_column",
    "data",
    "allow_empty",
    "allow_duplicates",
    "file_format",
    "delimiter",
    "id_column",
)
"""The fields that decide which messages the rows become: a journal belongs to one value of each."""

_FILES: Final = ("path", "results", "failed")
_STORED: Final = (*_FILES, *MESSAGE_FIELDS, "with_recipients", "prices", "max_spend")


@final
@frozen(kw_only=True)
class BatchConfig:
    """The options of a batch.

    - *path*: the input file, `-` for standard input.
    - *message_values*: the text of each message option, by the name of the field.
    - *journal*: where to record the rows; None: next to the input file.
    - *concurrency*: requests in flight; *rate*: requests per second, None: no limit but that of the service.
    - *outage_timeout*: seconds to wait while the service is down.
    - *changed*: what to do with rows that differ from rows that were sent; None: send nothing.
    """

    path: str
    message_values: Mapping[str, str] = field(repr=False)
    to_column: str = "to"
    data: tuple[str, ...] = ()
    allow_empty: bool = False
    allow_duplicates: bool = False
    file_format: str | None = None
    delimiter: str | None = None
    concurrency: int = 64
    rate: float | None = None
    outage_timeout: float = 900.0
    prices: tuple[str, ...] = ()
    max_spend: Decimal | None = None
    wait_for_balance: bool = False
    id_column: str | None = None
    journal: str | None = None
    use_journal: bool = False
    resend_unknown: bool = False
    changed: Literal["skip", "send"] | None = None
    new_batch: bool = False
    results: str | None = None
    failed: str | None = None
    overwrite: bool = False
    with_recipients: bool = False
    json: bool = False
    sandbox: bool = False

    @property
    def template(self) -> MessageTemplate:
        """What the options say about every message."""
        return MessageTemplate(
            given=self.message_values,
            to_column=self.to_column,
            data_columns=self.data,
            allow_empty=self.allow_empty,
        )

    @property
    def stored(self) -> dict[str, object]:
        """The options that a journal stores, so that the batch can be resumed. Paths are absolute."""
        return {name: _absolute(getattr(self, name)) if name in _FILES else getattr(self, name) for name in _STORED}

    def resume(self, stored: Mapping[str, Any]) -> "BatchConfig":
        """Return this configuration with the *stored* options of a journal.

        Results, prices and the spending limit are replaced only if they are not given now.
        """
        most = stored["max_spend"]
        return evolve(
            self,
            **{name: stored[name] for name in ("path", *MESSAGE_FIELDS)} | {"data": tuple(stored["data"])},
            results=self.results or stored["results"],
            failed=self.failed or stored["failed"],
            with_recipients=self.with_recipients or stored["with_recipients"],
            prices=self.prices or tuple(stored["prices"]),
            max_spend=self.max_spend if self.max_spend is not None or most is None else Decimal(most),
        )


def _absolute(path: str | None) -> str | None:
    return path if path is None or path == "-" else str(Path(path).absolute())
