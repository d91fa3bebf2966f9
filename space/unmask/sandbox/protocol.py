"""Messages between this process and its worker processes: one wire format, typed at both ends.

A message is a dataclass. On the wire it is a line of JSON that names its type, its fields and the size of its
payload, followed by the payload as raw bytes. What a worker sends is as untrusted as the bytes that it works on:
fields are converted to their annotated types or refused, and what they mean is for the receiver to check.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from types import UnionType
from typing import Any, BinaryIO, Union, get_args, get_origin, get_type_hints

from unmask.errors import UnmaskError, VideoChoice

MAX_LINE_BYTES = 2**16


class ProtocolError(ValueError):
    """Raised when a message is malformed, of an unexpected type, or larger than allowed."""


@dataclass(frozen=True)
class Failure:
    """The work failed with an error for the user; see `errors.from_code`."""

    code: str
    message: str
    choices: tuple[VideoChoice, ...] = ()


@dataclass(frozen=True)
class Done:
    """Nothing more will come."""


@dataclass(frozen=True)
class ReadRange:
    """A request for the bytes [begin, end) of a file."""

    begin: int
    end: int


@dataclass(frozen=True)
class RangeData:
    """The answer to `ReadRange`; the bytes are its payload."""


@dataclass(frozen=True)
class Message:
    """A received message."""

    body: Any  # one of the expected dataclasses
    payload: Any  # a buffer of bytes


def write_message(pipe: BinaryIO, body: Any, payload: Any = b"") -> None:
    """Write the dataclass `body`, and a buffer of bytes if it has one."""
    size_bytes = memoryview(payload).nbytes
    line = {"type": type(body).__name__, "fields": asdict(body), "payload_bytes": size_bytes}
    pipe.write(json.dumps(line).encode() + b"\n")
    if size_bytes:
        pipe.write(memoryview(payload).cast("B"))
    pipe.flush()


def read_header(pipe: BinaryIO, kinds: Iterable[type]) -> tuple[Any, int] | None:
    """Read a message up to its payload: (its body, the size of its payload in bytes), or None at the end.

    Raises:
        ProtocolError: It is none of `kinds`.
    """
    line = pipe.readline(MAX_LINE_BYTES)
    if not line:
        return None
    try:
        header = json.loads(line)
        kind = {kind.__name__: kind for kind in kinds}[header["type"]]
        return from_json(kind, header["fields"]), from_json(int, header["payload_bytes"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ProtocolError("The message cannot be read.") from error


def read_payload(
    pipe: BinaryIO, size_bytes: int, max_bytes: float = math.inf, allocate: Callable[[int], Any] = bytearray
) -> Any:
    """Read the payload that follows a header into a buffer that `allocate` makes.

    Raises:
        ProtocolError: It is too large or incomplete.
    """
    if not 0 <= size_bytes <= max_bytes:
        raise ProtocolError("The payload is too large.")
    payload = allocate(size_bytes)
    if pipe.readinto(payload) != size_bytes:  # type: ignore[attr-defined]  # of io.BufferedReader
        raise ProtocolError("The payload is incomplete.")
    return payload


def from_json(kind: Any, value: Any) -> Any:
    """Convert parsed JSON to `kind`: a dataclass, int, float, str, None, or a tuple or union of these.

    Raises:
        ValueError: It is of another type, or not a finite number.
        TypeError: A dataclass lacks fields.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        return kind(**{name: from_json(hints.get(name), each) for name, each in value.items()})
    if origin in (Union, UnionType):
        for option in arguments:
            with suppress(ValueError):
                return from_json(option, value)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(from_json(each, item) for each, item in zip(kinds, value, strict=True))
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is kind and kind is not float:
        return value
    raise ValueError(f"{value!r} is no {kind}")


class Connection:
    """A worker's end of the pipes: requests on stdin, answers on what was stdout.

    Whatever else prints to stdout lands on stderr.
    """

    def __init__(self) -> None:
        self._requests = sys.stdin.buffer
        self._answers = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def receive(self, *kinds: type) -> Message | None:
        """Wait for a request, one of `kinds`; None when there are no more."""
        header = read_header(self._requests, kinds)
        return header and Message(header[0], read_payload(self._requests, header[1]))

    def send(self, body: Any, payload: Any = b"") -> None:
        """Send an answer."""
        write_message(self._answers, body, payload)

    def send_failure(self, error: UnmaskError) -> None:
        """Send an error for the user."""
        self.send(Failure(error.code, error.message, error.choices))
