"""Dramatiq: an actor that sends one message, once, whatever happens to the worker.

    dramatiq dramatiq_actors

The broker is the one that `dramatiq.set_broker` was given before this import. The client is made when the module is
imported, which starts nothing. It opens at its first call, in each worker process after the fork, and all threads of
the process share it. A middleware closes it when the worker has stopped.
"""

import dramatiq
from dramatiq.middleware import CurrentMessage, Middleware

import msgapi
from msgapi import CallFailed, Ok, messages

client = msgapi.BlockingClient(app_name="shop/1.0", total_timeout=20.0)


class CloseClient(Middleware):
    """Close the connections when the last actor has returned."""

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Close the client of this process."""
        client.close()


broker = dramatiq.get_broker()
broker.add_middleware(CurrentMessage())
broker.add_middleware(CloseClient())


class TryAgain(Exception):
    """The service is down, slow or rate limited, or the outcome is unknown: Dramatiq tries again after a pause."""


@dramatiq.actor(max_retries=10, throws=CallFailed)  # CallFailed is an error that a retry does not change
def send_text(to: str, text: str) -> None:
    """Send *text*."""
    current = CurrentMessage.get_current_message()
    message = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text=text)
    # The id of the queue's message stays the same in retries and redeliveries, so all of them are one operation.
    key = None if current is None else current.message_id
    result = client(messages.send(message, idempotency_key=key))
    if not isinstance(result, Ok) and (result.scope == "service" or result.may_have_happened):
        raise TryAgain(result.code)
    _ = result.unwrap()
