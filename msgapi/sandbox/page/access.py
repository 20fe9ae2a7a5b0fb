"""Who may use the page: a cookie for reads, and a token for changes, in place of the API key.

Rules:
- The cookie and the token are random, and end with the server. The page never needs the API key.
- Pages of other origins can use neither. The cookie is SameSite=Strict, and is ignored if the headers of the request
  name another origin. The token is part of the page, which other origins cannot read.
- On a loopback address every request for the page sets the cookie. On another address the request must have the secret
  of the URL that `msgapi sandbox` prints.
"""

from collections.abc import Mapping
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Final, final
from urllib.parse import parse_qsl, urlsplit

from attrs import define, evolve, field

from ...config import is_loopback
from ...http import CONTROL_PREFIX, Request
from ..http.responses import SimulatedResponse, error_response

TOKEN_HEADER: Final = "x-sandbox-token"  # noqa: S105 - the name of a header
ACCESS_PARAMETER: Final = "access"
_READS: Final = frozenset({"GET", "HEAD"})
_OWN_SITE: Final = frozenset({"", "same-origin", "none"})  # values of Sec-Fetch-Site; older browsers send none


@final
@define(eq=False, repr=False)
class PageAccess:
    """The secrets of one server: the *cookie* and the *token*, and the *secret* in its URL if there is one."""

    secret: str | None = None
    cookie: str = field(factory=lambda: token_urlsafe(32), init=False)
    token: str = field(factory=lambda: token_urlsafe(32), init=False)

    def authorize(self, request: Request, path: str, port: int, api_key: str) -> Request | SimulatedResponse:
        """Return *request* with the API key if it is a request of the page, else as it is; or the refusal."""
        headers = request.headers
        if "authorization" in headers or not path.startswith(CONTROL_PREFIX) or not self.may_read(headers, port):
            return request
        if request.method not in _READS and not _same(headers.get(TOKEN_HEADER, ""), self.token):
            message = "The page is of an earlier start of the sandbox: it has to be loaded again."
            return error_response(403, "token_invalid", message)
        return evolve(request, headers={**headers, "authorization": f"Bearer {api_key}"})

    def may_read(self, headers: Mapping[str, str], port: int) -> bool:
        """Return whether a request has the cookie, and is not sent by another origin."""
        origin = headers.get("origin")
        if not is_own_site(headers):
            return False
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            return False
        cookies = (one.strip().partition("=") for one in headers.get("cookie", "").split(";"))
        return any(name == cookie_name(port) and _same(value, self.cookie) for name, _, value in cookies)

    def is_secret(self, query: str) -> bool:
        """Return whether a *query* has the secret of the printed URL."""
        given = dict(parse_qsl(query)).get(ACCESS_PARAMETER)
        return self.secret is not None and given is not None and _same(given, self.secret)

    def set_cookie(self, port: int) -> str:
        """Return the value of the Set-Cookie header."""
        return f"{cookie_name(port)}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"


def cookie_name(port: int) -> str:
    """Return the name of the cookie: cookies do not depend on the port, so that two servers need two names."""
    return f"msgapi_sandbox_{port}"


def is_own_site(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from the page or from the user, as far as the browser says."""
    return headers.get("sec-fetch-site", "") in _OWN_SITE


def is_local(address: str | None, host: str) -> bool:
    """Return whether a connection to the local *address* for the *host* of a request is one on this machine."""
    return address is not None and is_loopback(address) and is_local_name(urlsplit(f"//{host}").hostname or "")


def is_local_name(host: str) -> bool:
    """Return whether a *host* without its port always is this machine: a loopback address, or a name of one."""
    return is_loopback(host) or host.endswith(".localhost")


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode(errors="replace"), wanted.encode())
