"""The cause of a failed connection: an errno, a resolver error, a TLS alert, or the certificate verifier's sentence.

Rules:
- A cause quotes the operating system, OpenSSL or the certificate verifier. It has no address and no URL.
- Why no connection could be made names host and port, of the proxy too, but no path, no query and no credentials.
- `NotSent` for a missing file descriptor has the code `TOO_MANY_OPEN_FILES`, which costs no retry budget.
"""

import errno
import os
import re
import socket
import ssl
from pathlib import Path
from typing import Final

from ...results import TOO_MANY_OPEN_FILES, NotSent, Unanswered

LOST_BEFORE_SENT: Final = NotSent("the connection was lost before the request was sent")
TIMED_OUT: Final = Unanswered("no answer in time")
_RESOLVER_ERRORS: Final = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})


def describe_cause(error: BaseException) -> str:
    """Return the cause of *error*, such as `ECONNREFUSED (Connection refused)`; empty if it does not contain one."""
    cause = ""
    match _unwrapped(error):
        case ssl.SSLCertVerificationError() as verification:
            cause = f"{verification.verify_message}{_missing_certificates()}"
        case ssl.SSLError(reason=str(reason)):
            cause = reason.replace("_", " ").lower()
        case socket.gaierror(errno=int(number)) as resolution:
            cause = f"{_RESOLVER_ERRORS.get(number, number)} ({resolution.strerror})"
        case OSError(errno=int(number)):
            cause = _errno(number)
        case ConnectionError():  # the event loop's own, for a connection that ends during the TLS handshake
            cause = "closed by the peer"
        case OSError() as several:  # of several addresses, each with an error of its own
            cause = ", ".join(dict.fromkeys(_errno(int(number)) for number in _ERRNO.findall(str(several))))
        case _:
            pass
    return cause


def with_cause(reason: str, error: BaseException) -> str:
    """Return *reason* with the cause of *error*, if it has one."""
    cause = describe_cause(error)
    return f"{reason}: {cause}" if cause else reason


def host_and_port(host: str | None, port: int | None) -> str:
    """Return *host* and *port* as in a URL, for a sentence."""
    return f"{f'[{host}]' if ':' in (host or '') else host}:{port}"


def connect_failure(error: BaseException, to: str) -> NotSent:
    """Return the outcome of a request for which no connection could be made *to* a host because of *error*."""
    failed = f"could not connect to {to}"
    cause = _unwrapped(error)
    if isinstance(cause, OSError) and cause.errno in _NO_DESCRIPTOR:
        remedy = "raise the limit of the process (ulimit -n), or lower max_connections"
        return NotSent(f"{with_cause(failed, cause)}: {remedy}", code=TOO_MANY_OPEN_FILES)
    if isinstance(cause, socket.gaierror):
        reason = f"the host name of {to} could not be resolved"
    elif isinstance(cause, ssl.SSLError):
        reason = f"no secure connection to {to}"
    elif isinstance(cause, TimeoutError) and cause.errno is None:
        return NotSent(f"{failed} in time")
    else:
        reason = failed
    return NotSent(with_cause(reason, cause))


def connection_lost(error: BaseException | None) -> Unanswered:
    """Return the outcome of a request whose connection ended because of *error*; None if the peer closed it."""
    reason = "the connection was lost"
    return Unanswered(reason if error is None else with_cause(reason, error))


def cut_short(error: BaseException) -> Unanswered:
    """Return the outcome of a response that *error* cut."""
    return Unanswered(with_cause("the response was cut short", error))


def _unwrapped(error: BaseException) -> BaseException:
    # aiohttp's errors contain the error of the socket or of the TLS library.
    for name in ("certificate_error", "os_error"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            return inner
    return error


def _errno(number: int) -> str:
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"


def _missing_certificates() -> str:
    # OpenSSL ignores a file that does not exist, and then trusts nothing.
    path = os.environ.get("SSL_CERT_FILE")
    return "" if not path or Path(path).exists() else f" (SSL_CERT_FILE names {path}, which does not exist)"
