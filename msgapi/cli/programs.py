"""The commands that need no service: sandbox, demo."""

from decimal import Decimal

import click

from .options import Number, euros, json_option


@click.command
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), help="8025 if left out, a free one with a COMMAND or 0.")
@click.option("--balance", callback=euros, default="1000", metavar="EUR", show_default=True, help="At the start.")
@click.option("--rate", type=click.IntRange(1), default=10_000, metavar="N", help="Allow N requests a second.")
@click.option("--faults", type=Number(0, 1), default=0.0, help="The share of requests that something happens to.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the faults and the ids.")
@click.option("--delivery", type=Number(0), default=2.0, show_default=True, help="Seconds until messages arrive.")
@click.option("--repeated", type=Number(0, 1), default=0.0, help="The share of webhooks that come twice.")
@click.option("--late", type=Number(0, 1), default=0.0, help="The share of webhooks that come late.")
@click.option("--reordered", type=Number(0, 1), default=0.0, help="The share that come out of order.")
@click.option("--luck", is_flag=True, help="Only show which recipients something happens to.")
@json_option
def sandbox(
    *,
    command: tuple[str, ...],
    host: str,
    port: int | None,
    balance: Decimal,
    rate: int,
    faults: float,
    seed: int,
    delivery: float,
    repeated: float,
    late: float,
    reordered: float,
    luck: bool,
    json: bool,
) -> int:
    """Serve a sandbox of the API.

    It is on this machine only, and nothing is really sent. Prints the two variables that lead there.
    With a COMMAND, after --, it runs the command with them set, against a sandbox of its own, and
    exits with the command's status.
    """
    from .serve import Site, show_luck, start

    if luck:
        return show_luck(json=json)
    site = Site(
        host=host,
        port=port,
        balance=balance,
        limit=rate,
        faults=faults,
        seed=seed,
        delivery=delivery,
        repeated=repeated,
        late=late,
        reordered=reordered,
    )
    return start(site, command, json=json)


@click.command
@click.option(
    "--rows", type=click.IntRange(50, 1_000_000), default=10_000, show_default=True, help="How many rows to send."
)
@click.option("--keep", metavar="DIRECTORY", help="Keep the files there, to look into them.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the rows and the faults.")
def demo(*, rows: int, keep: str | None, seed: int) -> int:
    """See it work, without a key.

    Sends a file to a sandbox with a rate limit and faults, and accounts for every row.
    """
    from .demo import start

    return start(rows=rows, keep=keep, seed=seed)
