"""Give corrupted files to the decoder, in the sandbox of the decode worker.

python -m tests.bench.fuzz [COUNT]    # prints how 10,000 of them ended
"""

import argparse
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.media import astronaut, make

ROOT = Path(__file__).resolve().parents[2]
BASES = (
    "short.mp4", "fragmented.mp4", "hevc.mp4", "av1.mp4", "rotated.mp4", "odd-size.webm", "live.webm",
    "h264.mkv", "still.gif", "animation.gif", "mpeg4.avi", "h264.ts", "h264.flv", "mjpeg.mov", "picture.jpg",
)  # fmt: skip
SEED = 20261122
CPU_SECONDS = 20.0
WALL_SECONDS = 240.0
FINE = frozenset({"frames", "not_a_video", "no_frames", "too_large", "bad_input"})
EXTREMES = tuple(
    struct.pack(order + kind, number)
    for order in "<>"
    for kind, numbers in (("I", (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)), ("H", (0, 0x7FFF, 0xFFFF)))
    for number in numbers
)


@dataclass(frozen=True)
class Ended:
    """How one file ended."""

    outcome: str  # "frames", a code of the contract, or the name of the signal that ended the process
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Corruption:
    """Where, as a share of the file, something is done to it, and what."""

    kind: str
    at: float
    size: float
    value: bytes


SERVE = "import sys; from pathlib import Path; from tests.bench import fuzz; fuzz.serve(Path(sys.argv[1]))"
KINDS = ("cut", "drop", "repeat", "zero", "flip", "write", "write early", "splice")
CORRUPTIONS = st.builds(
    Corruption,
    st.sampled_from(KINDS),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=8),
)
CORRUPTED = st.tuples(st.sampled_from(BASES), st.sampled_from(BASES), st.lists(CORRUPTIONS, min_size=1, max_size=12))


def corrupt(data: bytes, other: bytes, corruptions: list[Corruption]) -> bytes:
    corrupted = bytearray(data)
    for each in corruptions:
        at = int(each.at * len(corrupted))
        until = min(len(corrupted), at + max(1, int(each.size**4 * len(corrupted))))
        match each.kind:
            case "cut":
                del corrupted[max(at, 16) :]
            case "drop":
                del corrupted[at:until]
            case "repeat":
                corrupted[at:at] = corrupted[at:until]
            case "zero":
                corrupted[at:until] = bytes(until - at)
            case "flip":
                for place in range(at, until, max(1, (until - at) // 50)):
                    corrupted[place] ^= 1 << place % 8
            case "write":
                corrupted[at : at + len(each.value)] = each.value
            case "write early":  # headers deserve more
                early = int(each.at * min(len(corrupted), 1000))
                corrupted[early : early + len(each.value)] = each.value
            case "splice":
                corrupted[at:] = other[int(each.size * len(other)) :]
    return bytes(corrupted[: 2**22])


class SandboxedDecoder:
    """A process that forks for every file, so that no time goes into importing; see `serve`."""

    def __init__(self, folder: Path) -> None:
        self._bases = {name: make(name, folder).read_bytes() for name in BASES}
        self._file = folder / "corrupted"
        self.ended: list[Ended] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self._file)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'space'}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def corrupted(self, names: tuple[str, str, list[Corruption]]) -> tuple[bytes, str]:
        """What the strategy `CORRUPTED` gave -> the bytes, and what they pretend to be."""
        base, other, corruptions = names
        data = corrupt(self._bases[base], self._bases[other], corruptions)
        return data, "picture" if base.endswith(".jpg") else "video"

    def decode(self, data: bytes, kind: str) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._file.write_bytes(data)
        self._process.stdin.write(kind + "\n")
        self._process.stdin.flush()
        self.ended.append(Ended(**json.loads(self._process.stdout.readline())))
        return self.ended[-1]


def serve(path: Path) -> None:
    """Decode the file anew for each line of standard input, in a fork of this process."""
    from unmask.video import decode_worker
    from unmask.video.messages import CaptureTask
    from unmask.video.sampling import DecodePlan

    decode_worker.import_lazy_modules(CaptureTask(DecodePlan(), (), (), ()))
    for line in sys.stdin:
        answer, result = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answer)
            _decode_in_sandbox(path, line.strip(), result)
        os.close(result)
        with os.fdopen(answer) as pipe:
            outcome = pipe.read()
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        outcome = signal.Signals(-code).name if code < 0 else outcome or f"exit {code}"
        ended = Ended(outcome, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
        print(json.dumps(vars(ended)), flush=True)


def _decode_in_sandbox(path: Path, kind: str, result: int) -> None:
    """Decode in the forked process, with the rights of the decode worker."""
    from unmask.errors import UnmaskError
    from unmask.video import decode_worker

    os.setsid()
    media = FileIO(str(path))
    signal.alarm(int(WALL_SECONDS))
    decode_worker.enter_sandbox(CPU_SECONDS)
    try:
        look(media, kind)
        outcome = "frames"
    except UnmaskError as error:
        outcome = error.code
    except MemoryError:
        outcome = "too_large"  # as in `decode_worker.main`
    except BaseException as error:  # noqa: BLE001 - a defect, which the test shows
        outcome = repr(error)
    os.write(result, outcome.encode()[:4000])
    os._exit(0)


def look(media: FileIO, kind: str) -> None:
    """All that a check does with a file before it looks for faces."""
    from unmask.limits import Limits
    from unmask.video import captured_frames, decode
    from unmask.video.sampling import DecodePlan

    plan = DecodePlan(windows=3, frames_per_window=4)
    if kind == "picture":
        captured = captured_frames.collect([media.read(), ASTRONAUT], [0.0, 0.1], Limits())
        assert list(captured_frames.decode(captured, plan))
        return
    decode.probe(FileIO(media.fileno(), closefd=False))
    assert list(decode.decode(FileIO(media.fileno(), closefd=False), plan))


ASTRONAUT = cv2.imencode(".jpg", astronaut())[1].tobytes()


def bombs(folder: Path) -> dict[str, bytes]:
    """Files that promise or hide too much: name -> content."""
    gif, jpeg = make("still.gif", folder).read_bytes(), ASTRONAUT
    mp4, webm = make("short.mp4", folder).read_bytes(), make("odd-size.webm", folder).read_bytes()
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "bomb.avi": make("bomb.avi", folder).read_bytes(),
        "too-large.avi": make("too-large.avi", folder).read_bytes(),
        "claims-three-hours.mp4": make("claims-three-hours.mp4", folder).read_bytes(),
        "claims-three-hours.mkv": make("claims-three-hours.mkv", folder).read_bytes(),
        "8k.mp4": make("8k.mp4", folder).read_bytes(),
        "wide.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "wide.jpg": jpeg[:size] + b"\xff\xdc\xff\xdc" + jpeg[size + 4 :],
        "wide.webm": webm.replace(b"\xb0\x82\x01\x41", b"\xb0\x82\xff\xff"),  # PixelWidth 321
        "many-frames.gif": many_frames(gif),
        "million-frames.mp4": million_samples(mp4),
        "hundred-streams.mp4": hundred_streams(folder),
        "nested-boxes.mp4": mp4[:32] + nested_boxes(200_000),
        "endless-box.mp4": mp4[:32] + struct.pack(">I4sQ", 1, b"moov", 2**63),
        "zero-boxes.mp4": mp4[:32] + struct.pack(">I4s", 8, b"free") * 250_000,
    }


def many_frames(gif: bytes) -> bytes:
    """Pictures of one pixel, four bytes of pixels each: 7.5 MB."""
    head = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6)
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    return head + (frame + b"\x02\x02\x44\x01\x00") * 300_000 + b"\x3b"


def million_samples(mp4: bytes) -> bytes:
    """The table of sample times says a million pictures."""
    at = mp4.index(b"stts") + 8
    return mp4[:at] + struct.pack(">II", 1, 1_000_000) + mp4[at + 8 :]


def nested_boxes(depth: int) -> bytes:
    """A box in a box in a box …"""
    return b"".join(struct.pack(">I4s", 8 * (depth - i), b"moov") for i in range(depth))


def hundred_streams(folder: Path) -> bytes:
    import av

    path = folder / "hundred-streams.mp4"
    with av.open(str(make("short.mp4", folder))) as given, av.open(str(path), "w") as output:
        source: Any = given.streams.video[0]
        copies = [output.add_stream_from_template(source) for _ in range(100)]
        packets = [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in given.demux(source) if p.pts is not None]
        for pts, dts, is_keyframe, data in packets:
            for copy in copies:
                packet = av.Packet(data)
                packet.stream, packet.is_keyframe, packet.time_base = copy, is_keyframe, source.time_base
                packet.pts, packet.dts = pts, dts
                output.mux(packet)
    return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    count = parser.parse_args().count
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, SandboxedDecoder(Path(folder)) as decoder:

        @seed(SEED)
        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(CORRUPTED)
        def try_one(names: tuple[str, str, list[Corruption]]) -> None:
            decoder.decode(*decoder.corrupted(names))

        try_one()
        show(decoder, time.monotonic() - began)
        sys.exit(any(ended.outcome not in FINE for ended in decoder.ended))


def show(decoder: SandboxedDecoder, seconds: float) -> None:
    ended = decoder.ended
    print(f"{len(ended):,} corrupted files in {seconds:.0f} s\n")
    for outcome, times in Counter(each.outcome for each in ended).most_common():
        print(f"  {outcome:<14}{times:>7,}{'' if outcome in FINE else '   <- not an answer of the contract'}")
    cpu = np.array([each.cpu_seconds for each in ended])
    peak = np.array([each.peak_bytes for each in ended]) / 2**20
    print(f"\n  processor time: median {np.median(cpu):.2f} s, 99 % below {np.quantile(cpu, 0.99):.2f} s,")
    print(f"  longest {cpu.max():.2f} s of {CPU_SECONDS:.0f} s; most memory {peak.max():.0f} MiB")


if __name__ == "__main__":
    main()
