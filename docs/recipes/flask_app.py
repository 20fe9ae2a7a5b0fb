"""Flask: an endpoint that sends a message, safe against a second click.

    flask --app flask_app run
    gunicorn --workers 4 --threads 8 flask_app:app

The client is made when the module is imported, which starts nothing. It opens at its first call, in each worker after
the fork, and all threads of the worker share it.
"""

from flask import Flask, request

import msgapi
from msgapi import Ok, messages

app = Flask(__name__)
client = msgapi.BlockingClient(app_name="shop/1.0", total_timeout=5.0)


@app.post("/orders/<order>/notice")
def send_notice(order: str) -> tuple[dict[str, str], int]:
    """Send the notice that the parcel of an order has arrived."""
    text = messages.Text(
        agent_id="ag_live_demo",
        to=request.form.get("to", ""),
        traffic_type="TRANSACTION",
        text="Your parcel is here",
    )
    # The key is made from the order: a second request for it, from any worker, is the same operation.
    match client(messages.send(text, idempotency_key=f"notice-{order}")):
        case Ok(accepted):
            return {"message_id": accepted.message_id}, 202
        case error:
            app.logger.warning("notice of an order: %r", error)  # shows no number and no text
            return {"error": error.code}, 503 if error.scope == "service" else 422


if __name__ == "__main__":
    app.run()
