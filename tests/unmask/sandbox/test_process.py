"""Worker processes and the messages that they exchange with this one."""

import io
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from unmask import errors
from unmask.download.messages import FetchRequest, Found
from unmask.limits import Limits
from unmask.sandbox.process import WorkerProcess
from unmask.sandbox.protocol import (
    Done,
    Message,
    ProtocolError,
    RangeData,
    from_json,
    read_header,
    read_payload,
    write_message,
)
from unmask.video.messages import CaptureTask, DecodeTask, Findings, MediaFile, PlayTask, WindowFrames
from unmask.video.sampling import DecodePlan, Piece, Span

SENDS_TWO = """
import sys
for name in ("RangeData", "Done"):
    print('{"type": "%s", "fields": {}, "payload_bytes": 0}' % name, flush=True)
sys.stdin.read()
"""


def failed(signal_name: str) -> errors.UnmaskError:
    return errors.InternalError(signal_name)


def next_message(worker: WorkerProcess) -> Message:
    while (message := worker.next_message()) is None:
        pass
    return message


def test_leaving_a_worker_that_has_more_to_send_takes_no_time() -> None:
    with WorkerProcess(SENDS_TWO, (RangeData, Done), failed) as worker:
        assert next_message(worker).body == RangeData()
        time.sleep(0.2)  # until its second message has come
    assert not worker._listener.is_alive()


def test_a_worker_that_has_ended_fails_whoever_asks_however_often() -> None:
    with WorkerProcess("import os; os.kill(os.getpid(), 9)", (), failed) as worker:
        for _ in range(2):
            with pytest.raises(errors.InternalError, match="SIGKILL"):
                next_message(worker)


@pytest.mark.parametrize(
    "body",
    [
        FetchRequest("https://example.com/v", "/x/video", Limits(max_bytes=1), Span(1.5), 8, 0.96),
        Found("title", None, 10.0, None, (Piece(0, 9, 1.5, None, 0), Piece(9, 20, 4.0, 9.5)), (1.5, 4.0)),
        DecodeTask(MediaFile(3, 10), DecodePlan(windows=2, end_seconds=9.0), (Piece(0, 10),), (0.5,), True),
        PlayTask(MediaFile(None, 10), Span(), 640),
        CaptureTask(DecodePlan(), (0.0, 0.1), ((2, 3), (4, 5)), (7, 8)),
        WindowFrames((1, 2, 3, 3), (0.25,), 1.0),
        Findings(((1.0, 2.5),), True),
    ],
    ids=lambda body: type(body).__name__,
)
def test_messages_survive_the_pipe(body: Any) -> None:
    pipe = io.BytesIO()
    write_message(pipe, body, b"payload")
    pipe.seek(0)
    found, size_bytes = read_header(pipe, [Done, type(body)]) or (None, 0)
    assert found == body
    assert read_payload(pipe, size_bytes) == b"payload"
    assert read_header(pipe, [Done]) is None


@dataclass(frozen=True)
class Sample:
    """A message."""

    count: int
    share: float = 0.0
    name: str | None = None
    pairs: tuple[tuple[int, float], ...] = ()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"count": 1.0},
        {"count": True},
        {"count": "1"},
        {"count": None},
        {"count": 1, "more": 1},
        {"count": 1, "share": float("nan")},
        {"count": 1, "share": 10**4000},
        {"count": 1, "name": 1},
        {"count": 1, "pairs": [[1]]},
        {"count": 1, "pairs": [[1, 2.0, 3.0]]},
        {"count": 1, "pairs": {"1": 2}},
        [1],
        "count",
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_fields_of_another_type_are_refused(fields: Any) -> None:
    line = json.dumps({"type": "Sample", "fields": fields, "payload_bytes": 0}).encode() + b"\n"
    with pytest.raises(ProtocolError):
        read_header(io.BytesIO(line), [Sample])


def test_fields_are_converted_to_their_types() -> None:
    fields = {"count": 1, "share": 1, "pairs": [[1, 2], [3, 4.5]]}
    assert from_json(Sample, fields) == Sample(1, 1.0, None, ((1, 2.0), (3, 4.5)))
