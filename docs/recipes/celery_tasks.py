"""Celery: a task that sends one message, once, whatever happens to the worker.

    celery --app celery_tasks worker --pool prefork --concurrency 4

The client is made when the module is imported, which starts nothing. It opens at its first call, in each worker process
after the fork, and a signal closes it: Celery ends the processes of a pool without the exit handlers of Python. A soft
time limit of Celery ends a call that waits. For batches of many messages see `client.batch`.
"""

import os

from celery import Celery, Task
from celery.signals import worker_process_shutdown, worker_shutdown

import msgapi
from msgapi import Ok, messages

app = Celery("celery_tasks", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
client = msgapi.BlockingClient(app_name="shop/1.0", total_timeout=20.0)


@worker_process_shutdown.connect  # in each process of the pool prefork
@worker_shutdown.connect  # in the worker itself, for the pools threads and solo
def close_client(**_: object) -> None:
    """Close the client at the end of the process. Do nothing if it was not opened."""
    client.close()


@app.task(bind=True, max_retries=10, soft_time_limit=30)
def send_text(self: Task[..., str], to: str, text: str) -> str:
    """Send *text*, and return the id of the message."""
    message = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text=text)
    # The id of the task stays the same in retries and redeliveries, so all of them are one operation.
    result = client(messages.send(message, idempotency_key=self.request.id))
    if not isinstance(result, Ok) and (result.scope == "service" or result.may_have_happened):
        # The service is down, slow or rate limited, or the outcome is unknown: try again later.
        raise self.retry(countdown=max(1.0, result.retry_after or 10.0))
    return result.unwrap().message_id  # any other error fails the task, as CallFailed
