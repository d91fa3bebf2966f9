"""Keep links, addresses and files of users out of the log."""

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


class RedactingStream:
    """A text stream that redacts what is written: log records, and what libraries print."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, redacted."""
        return self._stream.write(redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact(text: str) -> str:
    """Replace links, addresses, and paths in the temporary folder.

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


def configure() -> None:
    """Log warnings and errors to stderr, and redact whatever is written there."""
    stream: Any = RedactingStream(sys.stderr)
    sys.stderr = stream
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def summarise_traceback(stderr: str) -> str:
    """Reduce a printed traceback to its last lines of code and the error's type, without its message."""
    lines = stderr.splitlines()
    frames = [line.strip() for line in lines if FRAME.match(line)]
    error = re.match(r"[\w.]+", lines[-1]) if lines else None
    return "; ".join([*frames[-5:], error[0] if error else "no output"])
