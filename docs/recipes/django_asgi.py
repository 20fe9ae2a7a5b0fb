"""Django under ASGI: an async view, and a client that lives as long as the server.

    uvicorn django_asgi:application

Django does not handle the lifespan events of ASGI, so `application` does: the client opens before the first request,
and closes after the last one. Under a server without a lifespan, such as Daphne, it opens at its first call.
"""

import os
import secrets
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import msgapi
from msgapi import Ok, messages

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
)
client = msgapi.Client(app_name="shop/1.0", total_timeout=5.0)


async def send_notice(request: HttpRequest) -> JsonResponse:
    """Send a notice to the number in the form field `to`."""
    text = messages.Text(
        agent_id="ag_live_demo",
        to=request.POST.get("to", ""),
        traffic_type="TRANSACTION",
        text="Your parcel is here",
    )
    match await client(messages.send(text)):
        case Ok(accepted):
            return JsonResponse({"message_id": accepted.message_id}, status=202)
        case error:
            return JsonResponse({"error": error.code}, status=422 if error.scope in {"recipient", "request"} else 503)


urlpatterns = [path("notices", send_notice)]
django = get_asgi_application()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has it
    """Open and close the client with the server; pass requests on to Django."""
    if scope["type"] != "lifespan":
        await django(scope, receive, send)
        return
    _ = await receive()  # lifespan.startup
    async with client:  # if MSGAPI_API_KEY is missing, the server does not start
        await send({"type": "lifespan.startup.complete"})
        _ = await receive()  # lifespan.shutdown
    await send({"type": "lifespan.shutdown.complete"})
