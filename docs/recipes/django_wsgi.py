"""Django under WSGI: a view that sends a one-time password.

    python django_wsgi.py runserver --noreload
    gunicorn --workers 4 --threads 8 django_wsgi:application

The client is made when the module is imported, which starts nothing. It opens at its first call, in each worker after
the fork, and all threads of the worker share it. uWSGI needs `enable-threads = true`.
"""

import os
import secrets
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

import msgapi
from msgapi import ApiError, Ok, messages

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(),
    ALLOWED_HOSTS=["localhost", "127.0.0.1", "testserver"],
)
client = msgapi.BlockingClient(app_name="shop/1.0", total_timeout=5.0)


@require_POST
def send_code(request: HttpRequest) -> JsonResponse:
    """Send a code to the number in the form field `to`."""
    code = f"{secrets.randbelow(10**6):06}"  # keep a hash of it, to compare with what the user enters
    text = messages.Text(
        agent_id="ag_live_demo",
        to=request.POST.get("to", ""),
        traffic_type="AUTHENTICATION",
        text=f"{code} is your code. It is valid for 5 minutes.",
    )
    match client(messages.send(text)):
        case Ok(accepted):
            return JsonResponse({"message_id": accepted.message_id}, status=202)
        case error:
            return JsonResponse({"error": error.code}, status=status_of(error))


def status_of(error: ApiError) -> int:
    """Return the status for the browser: the number is wrong, try again later, or we have a problem."""
    if isinstance(error, msgapi.Invalid) or error.scope == "recipient":
        return 422
    return 503 if error.scope == "service" else 500


urlpatterns = [path("codes", send_code)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
