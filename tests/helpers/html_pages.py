"""What is on a page that must be whole and need nothing else."""

from html.parser import HTMLParser
from typing import Any

_EMPTY = frozenset({"img", "link", "meta"})


class Page(HTMLParser):
    """Reads a page, which must close what it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        """What a browser would have to ask for."""
        self.text = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in {"src", "href"} and not value.startswith("data:")]
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
