"""FastAPI: models as request bodies, responses and fields, and a result in a queue.

    uvicorn fastapi_relay:app

Other services of a company send messages through this one, which alone has the API key. A body has the form of
`POST /v1/messages`; what is wrong with it is answered with 422 before anything is sent.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

import msgapi
from msgapi import Ok, Result, codec, messages


class Job(BaseModel):
    """A message to send later, and its result once there is one; `model_dump_json` is what a queue keeps."""

    message: messages.Text | messages.Email
    result: Result[messages.Accepted] | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the client with the application."""
    async with msgapi.Client(app_name="relay/1.0", total_timeout=5.0) as client:
        app.state.client = client
        yield


def get_client(request: Request) -> msgapi.Client:
    """Return the client of the application."""
    client: msgapi.Client = request.app.state.client
    return client


app = FastAPI(lifespan=lifespan)


# `Body()` is needed: FastAPI takes a class that is neither a pydantic model nor a dataclass for a query parameter.
@app.post("/texts", status_code=202)
async def send_text(
    text: Annotated[messages.Text, Body()], client: Annotated[msgapi.Client, Depends(get_client)]
) -> messages.Accepted:
    """Send a text, and return what the service has answered."""
    match await client(messages.send(text)):
        case Ok(accepted):
            return accepted
        case error:
            # Code, kind and details; the error as a whole also has the text of the service.
            shown = {name: part for name, part in codec.to_dict(error).items() if name in {"kind", "code", "details"}}
            raise HTTPException(422 if error.scope == "recipient" else 503, shown)


@app.post("/jobs")
async def run_job(job: Job, client: Annotated[msgapi.Client, Depends(get_client)]) -> Job:
    """Send the message of a job unless it has a result, and return the job with its result."""
    if job.result is not None:
        return job
    return Job(message=job.message, result=await client(messages.send(job.message)))
