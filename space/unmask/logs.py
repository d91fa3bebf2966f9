"""A log that says what went wrong, and not for whom: no link, no address, no file of a visitor."""

import logging
import re
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TextIO

LINK = re.compile(r"\b[a-z][a-z0-9+.-]*:(?://|\\/\\/)[^\s\"'<>]*", re.IGNORECASE)
NUMBERS = re.compile(r"(?<![\w.:])[0-9a-f:.]*[.:][0-9a-f:.]*[0-9a-f]", re.IGNORECASE)
FRAME = re.compile(r'^  File "', re.MULTILINE)


class Discreet(logging.Formatter):
    """Writes "(link)", "(address)" and "(file)" in the place of what is nobody's business."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class DiscreetStream:
    """A stream that does the same with what others print, tracebacks for example."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact(text: str) -> str:
    """
    >>> redact("no answer from https://videos.example/watch?v=1 at 203.0.113.7")
    'no answer from (link) at (address)'
    """
    places = {str(Path(place)) for place in (tempfile.gettempdir(), Path(tempfile.gettempdir()).resolve())}
    files = re.compile("|".join(re.escape(place) + r"/[^\n\"']*" for place in sorted(places)))
    return NUMBERS.sub(_hide_address, LINK.sub("(link)", files.sub("(file)", text)))


def _hide_address(found: re.Match[str]) -> str:
    try:
        ip_address(found[0])
    except ValueError:
        return found[0]
    return "(address)"


def begin() -> None:
    """Log to stderr from now on, warnings and worse; whatever else goes there is discreet, too."""
    stream: Any = DiscreetStream(sys.stderr)
    sys.stderr = stream
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def frames(stderr: str) -> str:
    """Of a traceback where it was and what kind of error it was, without the error's own words."""
    lines = stderr.splitlines()
    where = [line.strip() for line in lines if FRAME.match(line)]
    last = re.match(r"[\w.]+", lines[-1]) if lines else None
    return "; ".join([*where[-5:], last[0] if last else "no word"])
