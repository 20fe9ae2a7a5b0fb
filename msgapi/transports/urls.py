"""URLs, parsed once: those that are asked for again and again are kept."""

from typing import Final, final

from attrs import define, field
from yarl import URL

_KEPT: Final = 256  # beyond it the oldest go


@final
@define(eq=False)
class Urls:
    """URLs by their text."""

    _known: dict[str, URL] = field(factory=dict, init=False, repr=False)

    def get(self, text: str) -> URL | None:
        """Parse an absolute http or https URL as it is, with nothing quoted anew; None if it is no such thing."""
        known = self._known.get(text)
        return self._parse(text) if known is None else known

    def _parse(self, text: str) -> URL | None:
        try:
            url = URL(text, encoded=True)
            _ = (url.raw_host or "").encode("idna"), url.port  # what the resolver would trip over
        except ValueError:
            return None
        if url.scheme not in {"http", "https"} or not url.raw_host or not _is_plain(text):
            return None
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[text] = url
        return url


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
