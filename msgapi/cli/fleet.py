"""The command `fleet`: a file of messages sent by many workers, over a Redis, Valkey or NATS that is there already."""

import click

from .options import (
    Number,
    Several,
    export_option,
    file_options,
    given,
    id_column_option,
    json_option,
    limit_rate_option,
    message_options,
    only_option,
    patience_option,
    wait_option,
)

_url_option = click.option(
    "--fleet-url",
    "url",
    envvar="MSGAPI_FLEET_URL",
    default="",
    metavar="URL",
    help="redis:// or nats://; or set MSGAPI_FLEET_URL, which no list of processes shows.",
)
_fleet_option = click.option(
    "--fleet", default="msgapi", show_default=True, metavar="NAME", help="One of several fleets on that server."
)
_lease_option = click.option(
    "--lease",
    type=Number(1, 3600),
    default=3,
    show_default=True,
    metavar="SECONDS",
    help="After how long the chunks of a worker that is lost go to another. On NATS the first to come sets it.",
)
_batch_option = click.option("--batch", required=True, metavar="NAME", help="The name of the batch.")


@click.group(cls=Several)
def fleet() -> None:
    """Send a file by many workers, at the one pace that the key allows.

    More workers are for safety, not for speed: the limit is that of the key. Needs `msgapi-sdk[redis]` or
    `msgapi-sdk[nats]`.

    \b
      export MSGAPI_FLEET_URL=redis://127.0.0.1:6379
      msgapi fleet enqueue people.csv --batch may --agent ag_live_demo --traffic TRANSACTION --text 'Hi {name}'
      msgapi fleet work            # on as many hosts as you like
      msgapi fleet report --batch may
    """  # noqa: D301 - \b is click's own


@fleet.command
@click.argument("file")
@click.option("--batch", required=True, metavar="NAME", help="A name that no other batch under this key has had.")
@message_options
@file_options
@id_column_option
@_lease_option
@_url_option
@_fleet_option
@json_option
def enqueue(
    *,
    file: str,
    batch: str,
    to_column: str,
    data: tuple[str, ...],
    allow_empty: bool,
    allow_duplicates: bool,
    shape: str | None,
    delimiter: str | None,
    id_column: str | None,
    lease: float,
    url: str,
    fleet: str,
    json: bool,
) -> int:
    """Queue a message to every row of a FILE, as a batch of the fleet.

    FILE and the options are those of `msgapi batch`; `msgapi batch --dry-run` shows what would be sent. The same
    command goes on where it was stopped, and queues nothing twice.

    The keys of the rows derive from NAME: another batch under a NAME that was used before would be taken for
    that one.
    """
    from .fleet_queue import start
    from .fleet_reach import Place
    from .mailing import Mailing

    mailing = Mailing(
        path=file,
        given=given(),
        to_column=to_column,
        data=data,
        empty=allow_empty,
        duplicates=allow_duplicates,
        shape=shape,
        delimiter=delimiter,
        id_column=id_column,
        json=json,
    )
    return start(mailing, Place(url=url, fleet=fleet, lease=lease), batch)


@fleet.command
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Requests in flight for each chunk.",
)
@click.option(
    "--chunks-at-once",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Chunks that are sent at a time, of 100 rows each.",
)
@_lease_option
@limit_rate_option
@patience_option
@wait_option
@click.option("--until-empty", is_flag=True, help="End when no chunk is left in the queue or with any worker.")
@_url_option
@_fleet_option
@json_option
def work(
    *,
    concurrency: int,
    chunks_at_once: int,
    lease: float,
    rate: float | None,
    outage_timeout: float,
    wait_for_balance: bool,
    until_empty: bool,
    url: str,
    fleet: str,
    json: bool,
) -> int:
    """Send what is queued on the fleet, whatever batch it is of, until Ctrl-C.

    Any number of workers with one key keep to its rate together; --rate is for all of them. A worker may
    be killed at any time: its rows go out again under their keys, and none arrives twice.

    When the balance is used up all workers stop. One with --wait-for-balance lets all of them go on after a
    top-up, and so does one that is started then.

    Ctrl-C lets what is in flight settle and gives the rest back; a second one stops at once.

    Exit status: 0 every row that was sent here accepted, 1 some were refused, 3 stopped (balance, service,
    breaker), 4 key or configuration, 130 interrupted.
    """
    from .fleet_reach import Place
    from .fleet_work import Shift, start

    shift = Shift(
        concurrency=concurrency,
        chunks_at_once=chunks_at_once,
        per_second=rate,
        outage_timeout=outage_timeout,
        wait=wait_for_balance,
        until_empty=until_empty,
        json=json,
    )
    return start(shift, Place(url=url, fleet=fleet, lease=lease))


@fleet.command
@_batch_option
@click.option("--journal", metavar="FILE", help="Keep the rows there, as the journal of a batch.")
@export_option
@only_option
@_url_option
@_fleet_option
@json_option
def report(
    *, batch: str, journal: str | None, export: str | None, only: str | None, url: str, fleet: str, json: bool
) -> int:
    """Tell what has become of the rows of a batch so far.

    \b
      msgapi fleet report --batch may
      msgapi fleet report --batch may --export csv --only refused > refused.csv

    With --journal the file is one as `msgapi batch` writes: `msgapi batch report FILE` reads it, and once the
    workers have ended, `msgapi batch --resume FILE` sends here what is left, under the same keys. So a day later
    workers take what is still queued of it for in doubt, and do not send it.

    Exit status: 0 every row accepted, 1 all settled with refusals, 3 there are rows still to be sent.
    """  # noqa: D301 - \b is click's own
    from .fleet_reach import Place
    from .fleet_report import Asked, start

    asked = Asked(batch=batch, journal=journal, export=export, only=only, json=json)
    return start(asked, Place(url=url, fleet=fleet, only_reading=True))
