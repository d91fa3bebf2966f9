"""One continuous clock over all pieces of a file, as a player shows it, and what is missing."""

import functools
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.media import RATE, glide, read_number, write_video
from tests.servers import Site, content
from unmask.download import client
from unmask.limits import Limits
from unmask.video.byte_ranges import ByteRanges, RemoteFile
from unmask.video.decode import decode, play, probe
from unmask.video.decode_client import OpenVideo
from unmask.video.pieces import find_remote_pieces
from unmask.video.sampling import DecodePlan, Piece, Span

pytestmark = pytest.mark.usefixtures("quick_worker")

TICKS = 90_000
WRAP = 2**33
TICKS_OF_FRAGMENTS = 12_800


def part(path: Path, start: float, frames: int = 100, first: int = 0, **options: Any) -> bytes:
    """Numbered frames whose clock begins at `start` seconds."""
    images = glide(frames, first=first)
    coding = {"g": "25", "bf": "0"}
    write_video(path, images, pts=(round(start * RATE)).__add__, options=coding, **options)
    return path.read_bytes()


def pieces(folder: Path, *starts: float, suffix: str = "ts", **options: Any) -> bytes:
    """Four seconds from each start, one behind the other, numbered through."""
    return b"".join(part(folder / f"{i}.{suffix}", start, first=100 * i, **options) for i, start in enumerate(starts))


def across_the_wrap(folder: Path, first: int = 0) -> bytes:
    """Eight seconds of a broadcast whose clock of 33 bits begins anew after four."""
    data = bytearray(part(folder / "plain.ts", 0.0, 200, first))
    shift = WRAP - 4 * TICKS
    for at in range(0, len(data), 188):
        packet = memoryview(data)[at : at + 188]
        control, has_start = packet[3] >> 4 & 3, packet[1] & 0x40
        if control & 2 and packet[4] > 6 and packet[5] & 0x10:  # the programme's clock
            base = int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7
            base = (base + shift) % WRAP
            packet[6:10], packet[10] = (base >> 1).to_bytes(4, "big"), packet[10] & 0x7F | (base & 1) << 7
        begin = 4 + (packet[4] + 1 if control & 2 else 0)
        if has_start and control & 1 and packet[begin : begin + 4] == b"\0\0\1\xe0":
            for place, flag in ((begin + 9, 0x80), (begin + 14, 0x40)):
                if packet[begin + 7] & flag:
                    stamp = packet[place : place + 5]
                    ticks = (
                        (stamp[0] >> 1 & 7) << 30 | stamp[1] << 22 | stamp[2] >> 1 << 15 | stamp[3] << 7 | stamp[4] >> 1
                    )
                    ticks = (ticks + shift) % WRAP
                    stamp[0] = stamp[0] & 0xF1 | ticks >> 30 << 1
                    stamp[1], stamp[2] = ticks >> 22 & 0xFF, ticks >> 15 << 1 & 0xFF | 1
                    stamp[3], stamp[4] = ticks >> 7 & 0xFF, ticks << 1 & 0xFF | 1
    return bytes(data)


def other_packets(stream: Any) -> None:
    stream.id = 777


def quick(stream: Any) -> None:
    stream.options |= {"deadline": "realtime", "cpu-used": "8", "threads": "1"}


def sharp(stream: Any) -> None:
    """No pack holds two pictures: of those at its end libav mistakes the times by one frame each after a seek."""
    stream.options |= {"qmin": "1", "qmax": "2"}


def between(folder: Path) -> bytes:
    """Three recordings, the middle one in other packets."""
    return (
        pieces(folder, 0)
        + part(folder / "b.ts", 3, first=100, prepare=other_packets)
        + part(folder / "c.ts", 0, first=200)
    )


def one_head(folder: Path) -> bytes:
    """Fragments of two recordings behind the head of the first."""
    (head, first), (_, second) = fragments(folder, 0), fragments(folder, 100)
    return head + b"".join(first + second)


def clock_of_the_day(folder: Path) -> bytes:
    """Fragments of which the later ones count from 1970."""
    head, segments = fragments(folder, 0, 200)
    data = head + b"".join(segments)
    later = int(1.7e9) * TICKS_OF_FRAGMENTS
    return data[: len(head) + len(segments[0])] + shifted(data[len(head) + len(segments[0]) :], later)


def edit_of_no_length(folder: Path) -> bytes:
    data = bytearray(part(folder / "a.mp4", 0.0))
    place = data.index(b"elst") + 12
    data[place : place + 4] = bytes(4)
    return bytes(data)


def cut_between_key_frames(folder: Path) -> bytes:
    """Fragments of which an edit list leaves the first half second out."""
    path = folder / "cut.mp4"
    images = [*glide(13)][::-1] + list(glide(100))
    flags = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
    write_video(path, images, pts=(-13).__add__, options={"g": "999", "bf": "0"}, container_options=flags)
    return path.read_bytes()


def flv(folder: Path, start: float, heads: bool) -> bytes:
    """Two recordings, the second with a head of its own or only its tags."""
    first, second = (part(folder / f"{i}.flv", start * i, first=100 * i) for i in range(2))
    return first + second[0 if heads else 13 :]


def turned_flv(folder: Path) -> bytes:
    """A phone that was turned while it streamed."""
    images = [*glide(200, 240, 320)][100:]
    write_video(folder / "b.flv", images, pts=(100).__add__, options={"g": "25", "bf": "0"})
    return part(folder / "a.flv", 0.0) + (folder / "b.flv").read_bytes()[13:]


# name -> the file, in a folder; each shows frame 0 at 0 s, and then one more every 0.04 s
MADE: dict[str, tuple[Callable[[Path], bytes], str, int]] = {
    "starts anew twice": (lambda folder: pieces(folder, 0, 0, 0), "ts", 300),
    "jumps forward, and back": (lambda folder: pieces(folder, 10, 5000, 30), "ts", 300),
    "another stream of packets": (
        lambda folder: pieces(folder, 0) + part(folder / "b.ts", 0, first=100, prepare=other_packets),
        "ts",
        200,
    ),
    "begins within a packet": (lambda folder: pieces(folder, 0, 0)[100:], "ts", 200),
    "begins with empty bytes": (lambda folder: bytes(777) + pieces(folder, 0, 0), "ts", 200),
    "a small step back": (lambda folder: pieces(folder, 10, 13.5), "ts", 200),
    "another stream of packets between": (between, "ts", 300),
    "fragments of two recordings": (one_head, "mp4", 200),
    "fragments that jump by years": (clock_of_the_day, "mp4", 200),
    "an edit of no length": (edit_of_no_length, "mp4", 100),
    "cut between key frames": (cut_between_key_frames, "mp4", 100),
    "joined mkvs": (lambda folder: pieces(folder, 0, 0, suffix="mkv"), "mkv", 200),
    "joined webms": (lambda folder: pieces(folder, 0, 7, suffix="webm", codec="libvpx", prepare=quick), "webm", 200),
    "flv that starts anew": (functools.partial(flv, start=0, heads=False), "flv", 200),
    "flv that jumps by an hour": (functools.partial(flv, start=3600, heads=False), "flv", 200),
    "joined flvs": (functools.partial(flv, start=0, heads=True), "flv", 200),
    "flv of a turned phone": (turned_flv, "flv", 200),
    "33 bits are over": (across_the_wrap, "ts", 200),
    "starts anew, then 33 bits are over": (lambda folder: pieces(folder, 0) + across_the_wrap(folder, 100), "ts", 300),
    "joined vobs": (lambda folder: pieces(folder, 0, 0, 50, suffix="vob", codec="mpeg2video"), "vob", 300),
    "joined oggs": (lambda folder: pieces(folder, 0, 0, suffix="ogv", codec="libvpx", prepare=quick), "ogv", 200),
    "joined wmvs": (lambda folder: pieces(folder, 0, 5, suffix="asf", codec="wmv2"), "asf", 200),
    "joined ivfs": (lambda folder: pieces(folder, 0, 0, suffix="ivf", codec="libvpx", prepare=quick), "ivf", 200),
    "wmv that begins at 7 s": (lambda folder: pieces(folder, 7, suffix="asf", codec="wmv2"), "asf", 100),
    "begins at 23 h": (lambda folder: pieces(folder, 82_800), "ts", 100),
    "mkv that begins at 23 h": (lambda folder: pieces(folder, 82_800, suffix="mkv"), "mkv", 100),
    "webm that begins at 7 s": (lambda folder: pieces(folder, 7, suffix="webm", codec="libvpx-vp9"), "webm", 100),
    "mp4 that begins at 7 s": (lambda folder: pieces(folder, 7, suffix="mp4"), "mp4", 100),
    "joined fragmented mp4s": (
        lambda folder: pieces(
            folder, 0, 0, suffix="mp4", container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        ),
        "mp4",
        200,
    ),
}


def check_clock(windows: Any, seconds: float, frames_off: int = 0) -> None:
    found = list(windows)
    times = np.concatenate([window.seconds for window in found])
    assert (np.diff(times) > 0).all()
    assert times[0] < 0.1
    assert times[-1] > seconds - 1.2  # a window moves to the key frame before it
    for window in found:
        numbers = np.array([read_number(image) for image in window.data])
        assert np.abs(numbers - np.round(window.seconds * RATE)).max() <= frames_off


@pytest.mark.parametrize("name", MADE)
def test_every_piece_is_looked_at_on_one_clock(tmp_path: Path, name: str) -> None:
    write, suffix, frames = MADE[name]
    path = tmp_path / f"video.{suffix}"
    path.write_bytes(write(tmp_path))
    assert probe(path).duration_seconds == pytest.approx(frames / RATE, abs=0.05)
    gaps: list[tuple[float, float]] = []
    check_clock(decode(path, DecodePlan(), on_gap=lambda *gap: gaps.append(gap)), frames / RATE)
    assert not gaps
    late = [(seconds, read_number(image)) for seconds, image in play(path, Span(frames / RATE - 1))]
    assert len(late) == 25
    assert all(number == round(seconds * RATE) for seconds, number in late)


EMPTY_TS = b"\x47\x1f\xff\x10" + bytes(184)
EMPTY_PACK = b"\0\0\1\xbe" + (2042).to_bytes(2) + bytes(2042)
EMPTY = {"ts": EMPTY_TS, "m2ts": bytes(4) + EMPTY_TS, "vob": EMPTY_PACK, "mpg": EMPTY_PACK}


def spread_out(data: bytes, empty: bytes, size_bytes: int = 2**22) -> bytes:
    """A stream with empty packets, as long as its own, between these, as a large one."""
    packets = [data[at : at + len(empty)] for at in range(0, len(data), len(empty))]
    return b"".join(packet + empty * (size_bytes // len(data) - 1) for packet in packets)


REMOTE: dict[
    str, tuple[tuple[float, ...], str, int]
] = {  # name -> when the clocks of its parts begin, their format, how many pieces these are
    "runs on": ((0, 4, 8), "ts", 1),
    "starts anew": ((0, 0, 0), "ts", 3),
    "jumps by an hour and back": ((0, 3600, 50), "ts", 3),
    "starts anew, as disks hold it": ((0, 0, 0), "m2ts", 3),
    "joined vobs": ((0, 0, 0), "vob", 3),
    "joined mpegs": ((0, 0, 50), "mpg", 3),
    "a vob that runs on": ((0, 4, 8), "vob", 1),
    "joined mp4s": ((0, 0, 0), "mp4", 3),
    "joined mkvs": ((0, 0, 0), "mkv", 3),
    "joined wmvs": ((0, 0, 0), "asf", 3),
    "joined oggs": ((0, 0, 0), "ogv", 3),
    "joined ivfs": ((0, 0, 0), "ivf", 3),
    "fragments of three recordings": ((0, 0, 0), "fragments", 3),
    "joined fragments": ((0, 0, 0), "heads and fragments", 3),
    "joined fragments with an index": ((0, 0, 0), "indexed fragments", 3),
    "fragments that run on": ((0,), "fragments", 1),
}
CODECS = {"asf": "wmv2", "ogv": "libvpx", "ivf": "libvpx", "vob": "mpeg2video", "mpg": "mpeg1video"}


def joined_fragments(folder: Path, starts: Sequence[float], kind: str) -> bytes:
    """Fragments from each start, all behind one head, or each with a head and perhaps an index of its own."""
    flags = "frag_keyframe+empty_moov+default_base_moof" + "+global_sidx" * (kind == "indexed fragments")
    parts = [
        part(folder / f"{i}.mp4", start, first=100 * i, container_options={"movflags": flags})
        for i, start in enumerate(starts)
    ]
    if kind != "fragments":
        return b"".join(parts)
    cuts = [(data.index(b"moof") - 4, data.rfind(b"mfra") - 4) for data in parts]
    return parts[0][: cuts[0][0]] + b"".join(data[begin:end] for data, (begin, end) in zip(parts, cuts, strict=True))


@pytest.mark.parametrize("name", REMOTE)
def test_clocks_of_a_large_stream_elsewhere_are_found_by_a_few_ranges(tmp_path: Path, name: str) -> None:
    starts, suffix, count = REMOTE[name]
    blocks: list[int] = []
    if suffix.endswith("fragments"):
        data = joined_fragments(tmp_path, starts, suffix)
    else:
        codec = CODECS.get(suffix, "libx264")
        prepare = {"libvpx": quick, "mpeg1video": sharp, "mpeg2video": sharp}.get(codec, lambda _: None)
        data = pieces(tmp_path, *starts, suffix=suffix, codec=codec, prepare=prepare)
    data = spread_out(data, EMPTY[suffix]) if suffix in EMPTY else data

    def read(begin: int, end: int) -> bytes:
        blocks.append(end - begin)
        return data[begin:end]

    file = RemoteFile(ByteRanges(len(data), read))
    found = find_remote_pieces(file, Piece(0, len(data)))
    assert len(found) == count
    if count > 1:
        assert [piece.end_seconds for piece in found] == pytest.approx([4.0, 8.0, 12.0], abs=0.1)
        check_clock(decode(file, DecodePlan(), found), 12.0, frames_off=EMPTY.get(suffix) == EMPTY_PACK)


AT_HOME = Limits(allow_private=True, timeout_seconds=60.0)


def fragments(folder: Path, first: int, frames: int = 100, **size: int) -> tuple[bytes, list[bytes]]:
    """(head, segments of two seconds) of fragmented MP4 whose clock begins at zero."""
    path = folder / f"{first}.mp4"
    images = glide(frames, first=first, **size)
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    write_video(path, images, options={"g": "50", "bf": "0"}, container_options=flags)
    data = path.read_bytes()
    cuts = [found.start() - 4 for found in re.finditer(b"moof", data)]
    end = data.rfind(b"mfra") - 4
    return data[: cuts[0]], [data[a:b] for a, b in pairwise([*cuts, end])]


def shifted(data: bytes, ticks: int) -> bytes:
    """Fragments whose clock is ahead."""
    found = re.compile(rb"(tfdt\x01\0\0\0)(.{8})", re.DOTALL)
    return found.sub(lambda clock: clock[1] + (int.from_bytes(clock[2]) + ticks).to_bytes(8), data)


HLS_HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n"


def hls_of_other_sizes(folder: Path) -> dict[str, bytes]:
    """An advertisement of another size, with a head of its own, between four and four seconds."""
    files, lines = {}, [HLS_HEAD]
    for first, size in ((0, {}), (100, {"width": 160, "height": 120}), (200, {})):
        head, segments = fragments(folder, first, **size)
        files[f"{first}-head"] = head
        lines += ["#EXT-X-DISCONTINUITY\n" * bool(first), f'#EXT-X-MAP:URI="{first}-head"\n']
        for i, segment in enumerate(segments):
            files[f"{first}-{i}.m4s"] = segment
            lines.append(f"#EXTINF:2.0,\n{first}-{i}.m4s\n")
    return files | {"index.m3u8": "".join([*lines, "#EXT-X-ENDLIST\n"]).encode()}


def hls_without_a_word(folder: Path) -> dict[str, bytes]:
    """Segments whose clock starts anew, although the playlist does not say so."""
    files = {f"{i}.ts": part(folder / f"{i}.ts", 0.0, first=100 * i) for i in range(3)}
    lines = [HLS_HEAD, *(f"#EXTINF:4.0,\n{name}\n" for name in files), "#EXT-X-ENDLIST\n"]
    return files | {"index.m3u8": "".join(lines).encode()}


def hls_disguised(folder: Path) -> dict[str, bytes]:
    """Segments that begin like a picture."""
    files = hls_without_a_word(folder)
    picture = b"\x89PNG\r\n\x1a\n" + bytes(200)
    return {name: picture + data if name.endswith(".ts") else data for name, data in files.items()}


def hls_encrypted(folder: Path) -> dict[str, bytes]:
    """Segments in AES-128: the first two by a key of their own, the last in the clear."""
    files, lines = {}, [HLS_HEAD]
    for i, key in enumerate((b"k" * 16, b"K" * 16, None)):
        segment, place = part(folder / f"{i}.ts", 4.0 * i, first=100 * i), f'AES-128,URI="{i}.key"'
        if key is not None:
            segment += bytes([16 - len(segment) % 16]) * (16 - len(segment) % 16)
            coder = Cipher(algorithms.AES(key), modes.CBC(i.to_bytes(16))).encryptor()
            files[f"{i}.key"], segment = key, coder.update(segment)
        files[f"{i}.ts"] = segment
        lines.append(f"#EXT-X-KEY:METHOD={place if key else 'NONE'}\n#EXTINF:4.0,\n{i}.ts\n")
    return files | {"index.m3u8": "".join([*lines, "#EXT-X-ENDLIST\n"]).encode()}


def hls_with_variables(folder: Path) -> dict[str, bytes]:
    """A master playlist behind a byte order mark, whose variables are imported; of its best playlists nothing is there.

    One variable is a part of the address.
    """
    files = hls_without_a_word(folder)
    media = files.pop("index.m3u8").decode().replace(".ts", "{$end}").replace("\n2", "\n{$third}")
    defined = '#EXT-X-DEFINE:IMPORT="end"\n#EXT-X-DEFINE:QUERYPARAM="third"\n'
    files["media.m3u8"] = media.replace("#EXTINF", f"{defined}#EXTINF", 1).encode()
    files["gone/media.m3u8"] = files["media.m3u8"]
    master = '#EXTM3U\n#EXT-X-DEFINE:NAME="end",VALUE=".ts"\n#EXT-X-DEFINE:NAME="list",VALUE="media.m3u8"\n'
    for rate, place in enumerate(("", "gone/", "neither/")):
        master += f"#EXT-X-STREAM-INF:BANDWIDTH={rate}\n{place}{{$list}}?third=2\n"
    return {"index.m3u8": BOM_UTF8 + master.encode()} | files


def dash_on_two_servers(folder: Path, whole_files: bool) -> dict[str, bytes]:
    """A manifest behind a byte order mark; the first of two addresses does not answer."""
    files = dash(folder, whole_files)
    bases = b"<BaseURL>http://127.0.0.1:9/</BaseURL><BaseURL>./</BaseURL>"
    return files | {"index.mpd": BOM_UTF8 + files["index.mpd"].replace(b"<Period", bases + b"<Period", 1)}


def dash(folder: Path, whole_files: bool) -> dict[str, bytes]:
    """Three Periods of four seconds; nothing in the later ones is described as in the first."""
    files, periods = {}, ""
    for first, size in ((0, {}), (100, {"width": 160, "height": 120}), (200, {})):
        head, segments = fragments(folder, first, **size)
        if whole_files:
            files[f"{first}.mp4"] = head + b"".join(segments)
            places = f"<BaseURL>{first}.mp4</BaseURL>"
        else:
            files |= {f"{first}/head.m4s": head} | {f"{first}/{i}.m4s": each for i, each in enumerate(segments)}
            places = (
                f'<BaseURL>{first}/</BaseURL><SegmentTemplate timescale="10" duration="20" startNumber="0" '
                'initialization="head.m4s" media="$Number$.m4s"/>'
            )
        periods += (
            f'<Period id="{first}" duration="PT4S"><AdaptationSet contentType="video"><Representation id="v{first}" '
            f'mimeType="video/mp4" codecs="avc1.64000d" bandwidth="{100_000 + first}" width="{size.get("width", 320)}" '
            f'height="{size.get("height", 240)}">{places}</Representation></AdaptationSet></Period>'
        )
    manifest = (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT12S">{periods}</MPD>'
    )
    return files | {"index.mpd": manifest.encode()}


def dash_of_one(folder: Path, *periods: tuple[float, str]) -> dict[str, bytes]:
    """Periods of (seconds, how its segments are described) of one video."""
    head, segments = fragments(folder, 0, 300)
    files = {"head.m4s": head, "all.mp4": head + b"".join(segments)}
    files |= {f"{i}.m4s": segment for i, segment in enumerate(segments)}
    described = "".join(
        f'<Period id="{i}" duration="PT{seconds}S"><AdaptationSet contentType="video"><Representation id="v" '
        f'mimeType="video/mp4" codecs="avc1.64000d" bandwidth="1">{places}</Representation></AdaptationSet></Period>'
        for i, (seconds, places) in enumerate(periods)
    )
    manifest = f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">{described}</MPD>'
    return files | {"index.mpd": manifest.encode()}


def timeline(lines: str, number: int = 0, zero: int = 0) -> str:
    return (
        f'<SegmentTemplate timescale="10" presentationTimeOffset="{zero}" startNumber="{number}" media="$Number$.m4s" '
        f'initialization="head.m4s"><SegmentTimeline>{lines}</SegmentTimeline></SegmentTemplate>'
    )


def dash_linked(folder: Path) -> dict[str, bytes]:
    """The last eight of twelve seconds are described elsewhere, and nothing at a name that stands for nothing."""
    files = dash_of_one(folder, (4, timeline('<S t="0" d="20" r="1"/>')), (8, timeline(LATER, 2, 40)))
    head, first, second = files["index.mpd"].partition(b"</Period>")
    files["later.xml"] = b"<?xml version='1.0'?>" + second.removesuffix(b"</MPD>")
    links = "".join(
        f'<Period xmlns:x="http://www.w3.org/1999/xlink" x:actuate="onLoad" x:href="{link}"/>'
        for link in ("later.xml", "urn:mpeg:dash:resolve-to-zero:2013")
    )
    return files | {"index.mpd": head + first + links.encode() + b"</MPD>"}


def dash_with_other_sets(folder: Path) -> dict[str, bytes]:
    """Larger pictures beside the video, for winding fast and of sign language."""
    marks = (
        '<EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/>',
        '<Role schemeIdUri="urn:mpeg:dash:role:2011" value="sign"/>',
    )
    others = "".join(
        f'<AdaptationSet contentType="video">{mark}<Representation id="{number}" mimeType="video/mp4" bandwidth="9" '
        'codecs="avc1.64000d" width="640" height="480"><BaseURL>missing.mp4</BaseURL></Representation></AdaptationSet>'
        for number, mark in enumerate(marks)
    )
    files = dash_of_one(folder, (12, timeline(GOES_ON)))
    return files | {"index.mpd": files["index.mpd"].replace(b"</Period>", f"{others}</Period>".encode())}


def file_from(zero: int) -> str:
    return f'<BaseURL>all.mp4</BaseURL><SegmentBase timescale="10" presentationTimeOffset="{zero}"/>'


GOES_ON, CUT, LATER = '<S t="0" d="20" r="-1"/>', '<S t="0" d="20" r="2"/>', '<S t="40" d="20" r="-1"/>'
RANGES = '<BaseURL>all.mp4</BaseURL><SegmentList duration="2"><SegmentURL mediaRange="900-999"/></SegmentList>'

JOINED: dict[str, Callable[[Path], dict[str, bytes]]] = {
    "HLS, another size and head": hls_of_other_sizes,
    "HLS, the clock starts anew without a word": hls_without_a_word,
    "HLS, encrypted": hls_encrypted,
    "HLS, disguised as pictures": hls_disguised,
    "HLS, variables": hls_with_variables,
    "DASH, a server that fails": functools.partial(dash_on_two_servers, whole_files=False),
    "DASH, a server that fails, whole files": functools.partial(dash_on_two_servers, whole_files=True),
    "DASH, Periods in folders": functools.partial(dash, whole_files=False),
    "DASH, a file for each Period": functools.partial(dash, whole_files=True),
    "DASH, other sets of pictures": dash_with_other_sets,
    "DASH, a Period elsewhere": dash_linked,
    "DASH, a segment is repeated": lambda folder: dash_of_one(folder, (12, timeline(GOES_ON))),
    "DASH, cut within a segment": lambda folder: dash_of_one(folder, (5, timeline(CUT)), (7, timeline(LATER, 2, 50))),
    "DASH, Periods of one file": lambda folder: dash_of_one(folder, *((4, file_from(40 * i)) for i in range(3))),
    "DASH, ranges of a file": lambda folder: dash_of_one(folder, (12, RANGES)),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", JOINED)
def test_playlists_of_pieces_are_looked_at_on_one_clock(tmp_path: Path, name: str, whole: bool) -> None:
    files = JOINED[name](tmp_path)
    kinds = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}
    plan = DecodePlan(windows=8)
    with Site(
        {f"/{path}": content(data, kinds.get(Path(path).suffix, "video/mp4")) for path, data in files.items()}
    ) as site:
        url = site.url("/" + next(path for path in files if path.startswith("index")))
        with closing(client.fetch(url, tmp_path, AT_HOME, plan, lambda *_: None, whole=whole)) as video:
            check_clock(video.opened.windows(), 12.0)
    assert video.duration_seconds == pytest.approx(12.0, abs=0.1)
    assert video.opened.gaps == ()
    if whole and "Periods of one" not in name and "cut within" not in name:
        check_clock(decode(tmp_path / "video", plan), 12.0)


@pytest.mark.parametrize(
    ("seconds", "before", "gaps"),
    [
        (4.0, "#EXT-X-DISCONTINUITY\n", []),
        (9.0, "#EXT-X-DISCONTINUITY\n", [(4.0, 9.0), (13.0, 18.0)]),
        (4.0, "#EXT-X-GAP\n#EXTINF:4.0,\nmissing.ts\n#EXT-X-DISCONTINUITY\n", [(4.0, 8.0)]),
        (4.0, "#EXTINF:4.0,\nmissing.ts\n#EXT-X-DISCONTINUITY\n", [(4.0, 8.0)]),
    ],
)
def test_what_a_playlist_announces_and_its_segments_lack_is_told(tmp_path, seconds, before, gaps):
    files = {f"/{i}.ts": part(tmp_path / f"{i}.ts", 0.0) for i in range(2)}
    lines = [f"#EXTINF:{seconds},\n{name[1:]}\n" for name in files]
    files["/index.m3u8"] = f"{HLS_HEAD}{lines[0]}{before}{lines[1]}#EXT-X-ENDLIST\n".encode()
    kinds = {".m3u8": "application/vnd.apple.mpegurl"}
    with Site(
        {path: content(data, kinds.get(Path(path).suffix, "video/mp2t")) for path, data in files.items()}
    ) as site:
        url = site.url("/index.m3u8")
        with closing(client.fetch(url, tmp_path, AT_HOME, DecodePlan(), lambda *_: None)) as video:
            assert list(video.opened.windows())
    assert video.opened.gaps == tuple(pytest.approx(gap, abs=0.1) for gap in gaps)


@pytest.mark.parametrize(
    ("name", "gaps"), [("h264.mp4", []), ("truncated.mp4", [(4.84, 10.0)]), ("truncated.avi", [(4.92, 10.0)])]
)
def test_what_a_header_announces_and_the_file_lacks_is_told(media, name, gaps):
    with closing(OpenVideo(media(name), DecodePlan())) as opened:
        assert list(opened.windows())
    assert opened.gaps == tuple(pytest.approx(gap, abs=0.1) for gap in gaps)


def frozen(path: Path) -> None:
    """A picture that stays for nineteen seconds."""
    times = lambda i: 40 * i + 19_000 * (i >= 10)
    write_video(path, glide(20), pts=times, time_base=Fraction(1, 1000), options={"bf": "0"})


def long_sound(path: Path) -> None:
    write_video(path, glide(10), options={"bf": "0"}, sound=True)


def delayed_and_cut(path: Path) -> None:
    """An edit list shows the pictures two seconds late, and only the first three seconds of them."""
    data = bytearray(part(path, 2.0))
    place = data.index(b"elst") + 24
    data[place : place + 4] = (3000).to_bytes(4)
    path.write_bytes(data)


def fragments_of_a_live_stream(path: Path) -> None:
    """Fragments whose clock began a quarter of an hour before."""
    head, segments = fragments(path.parent, 0)
    path.write_bytes(shifted(head + b"".join(segments), 900 * TICKS_OF_FRAGMENTS))


def without_a_fragment(path: Path) -> None:
    head, segments = fragments(path.parent, 0, 400)
    path.write_bytes(head + segments[0] + b"".join(segments[5:]))


def without_a_short_fragment(path: Path) -> None:
    head, segments = fragments(path.parent, 0, 200)
    path.write_bytes(head + b"".join(segments[:2] + segments[3:]))


LENGTHS: dict[
    str, tuple[Callable[[Path], None], float, bool]
] = {  # name -> made by, seconds shown, pictures are missing
    "frozen.mp4": (frozen, 19.8, False),
    "frozen.mkv": (frozen, 19.8, False),
    "long-sound.mkv": (long_sound, 0.4, False),
    "without-a-fragment.mp4": (without_a_fragment, 16.0, True),
    "without-a-short-fragment.mp4": (without_a_short_fragment, 8.0, True),
    "delayed-and-cut.mp4": (delayed_and_cut, 3.0, False),
    "live.mp4": (fragments_of_a_live_stream, 4.0, False),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_picture_that_stays_is_not_missing(tmp_path: Path, name: str) -> None:
    write, seconds, missing = LENGTHS[name]
    write(tmp_path / name)
    gaps: list[tuple[float, float]] = []
    assert list(decode(tmp_path / name, DecodePlan(), on_gap=lambda *gap: gaps.append(gap)))
    assert probe(tmp_path / name).duration_seconds == pytest.approx(seconds, abs=0.05)
    assert bool(gaps) == missing
    assert all(start >= 2.0 and end <= 10.0 for start, end in gaps)


def test_a_piece_that_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    frozen(path)  # of which a player makes a jump, at no key frame
    gaps: list[tuple[float, float]] = []
    assert list(decode(path, DecodePlan(), on_gap=lambda *gap: gaps.append(gap)))
    (gap,) = gaps
    assert gap == pytest.approx((0.36, 0.72), abs=0.1)
