"""structlog: the log lines of the client as JSON, with what the application has bound to its context.

    python structlog_logging.py +4915100000001

`observe.log` writes to the standard logger `msgapi`, and structlog formats what comes from there. A line has the route,
the outcome, the status, the code, the attempts, the seconds and the idempotency key of a call, if that is a UUID; no
API key, no recipient and no content.
"""

import logging
import sys

import anyio
import structlog

import msgapi
from msgapi import Ok, messages, observe


def configure_logging(level: int = logging.INFO) -> None:
    """Write one JSON object a line to the standard output, for loggers of structlog and of the standard library."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),  # msgapi_route, msgapi_outcome, ...
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


async def send_notice(client: msgapi.Client, order: int, to: str) -> bool:
    """Send the notice that the parcel of an order has arrived, and return whether it was accepted."""
    log = structlog.stdlib.get_logger("shop")
    with structlog.contextvars.bound_contextvars(order=order):  # the lines of the client have it too
        text = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Your parcel is here")
        match await client(messages.send(text)):
            case Ok(accepted):
                log.info("notice sent", message_id=accepted.message_id)
                return True
            case error:
                log.warning("notice not sent", code=error.code, why=error.explanation)
                return False


async def main(numbers: list[str]) -> None:
    """Send a notice to each of *numbers*."""
    async with msgapi.Client(observer=observe.log()) as client:
        for order, to in enumerate(numbers, start=1):
            _ = await send_notice(client, order, to)


if __name__ == "__main__":
    configure_logging()
    anyio.run(main, sys.argv[1:])
