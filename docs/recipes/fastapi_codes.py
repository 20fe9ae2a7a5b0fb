"""FastAPI: one-time passwords, with a client that lives as long as the application.

    uvicorn fastapi_codes:app

The codes are kept in this process. With several workers keep them in a database or in Redis.
"""

import hmac
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

import msgapi
from msgapi import Ok, messages

LIFETIME = 300.0  # seconds
ATTEMPTS = 5


class Number(BaseModel):
    """The number that a code is sent to."""

    to: str


class Entered(Number):
    """The code that the user has entered."""

    code: str


class Code(BaseModel):
    """A code that was sent, until when it is valid, and how often it may still be entered."""

    digits: str
    expires: float
    attempts: int = ATTEMPTS


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the client with the application; without MSGAPI_API_KEY it does not start."""
    async with msgapi.Client(app_name="shop/1.0", total_timeout=5.0) as client:
        app.state.client, app.state.codes = client, {}
        yield


def get_client(request: Request) -> msgapi.Client:
    """Return the client of the application. In a test, `app.dependency_overrides` replaces it."""
    client: msgapi.Client = request.app.state.client
    return client


def get_codes(request: Request) -> dict[str, Code]:
    """Return the codes that were sent."""
    codes: dict[str, Code] = request.app.state.codes
    return codes


app = FastAPI(lifespan=lifespan)


@app.post("/codes", status_code=202)
async def send_code(
    number: Number,
    client: Annotated[msgapi.Client, Depends(get_client)],
    codes: Annotated[dict[str, Code], Depends(get_codes)],
) -> dict[str, str]:
    """Send a new code."""
    digits = f"{secrets.randbelow(10**6):06}"
    text = messages.Text(
        agent_id="ag_live_demo", to=number.to, traffic_type="AUTHENTICATION", text=f"{digits} is your code."
    )
    result = await client(messages.send(text))
    if isinstance(result, Ok) or result.may_have_happened:  # it may arrive, so it must be valid
        codes[number.to] = Code(digits=digits, expires=time.monotonic() + LIFETIME)
        return {"status": "sent"}
    if isinstance(result, msgapi.Invalid) or result.scope == "recipient":
        raise HTTPException(422, result.code)
    raise HTTPException(503, "try again later", headers={"Retry-After": f"{result.retry_after or 10:.0f}"})


@app.post("/codes/check")
async def check_code(entered: Entered, codes: Annotated[dict[str, Code], Depends(get_codes)]) -> dict[str, bool]:
    """Return whether the code is right. A right code counts once."""
    code = codes.get(entered.to)
    if code is None or code.expires < time.monotonic() or not code.attempts:
        return {"valid": False}
    code.attempts -= 1
    valid = hmac.compare_digest(code.digits, entered.code)
    if valid:
        del codes[entered.to]
    return {"valid": valid}
