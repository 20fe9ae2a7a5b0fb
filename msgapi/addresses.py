"""Addresses: where requests go and under which key, checked before anything leaves."""

from urllib.parse import urlsplit


class Misconfigured(ValueError):
    """The client cannot be made as asked: the text says what is missing or wrong, and what to do."""


def checked_key(key: str | None) -> str:
    """Give the API key back if there is one and it can stand in a header."""
    if not key:
        raise Misconfigured("no API key: set MSGAPI_API_KEY, or pass connect(api_key=...)")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Misconfigured("the API key has characters that no key has, such as a space or a line break")
    return key


def checked_url(url: str) -> str:
    """Give a base URL back without its last slash, if the key is safe on its way there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Misconfigured("the base URL is not a URL: give one such as https://api.arowana.app") from None
    if parts.scheme not in {"http", "https"} or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise Misconfigured("the base URL must be like https://api.arowana.app (check MSGAPI_BASE_URL)")
    if parts.username is not None or parts.query or parts.fragment:
        raise Misconfigured("the base URL must have no user, no query and no fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise Misconfigured("the base URL must be https: the API key would be readable on its way")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an address, is this machine."""
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
