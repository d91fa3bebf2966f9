"""Read a media file that `container` opens: seek, read packets and decode frames.

Times are presentation times in seconds, as a player's `currentTime` shows them.
"""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import RawIOBase
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Discard
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream as AvStream

from unmask.errors import NotAVideo, TooLarge
from unmask.video import colour, file_format
from unmask.video.byte_ranges import FilePart, open_file
from unmask.video.container import (
    MAX_PIXELS,
    MEDIA_ERRORS,
    choose_decoder,
    keep_only,
    moving_streams,
    open_container,
    video_stream,
)
from unmask.video.edit_lists import lacks_lengths
from unmask.video.frames import Image
from unmask.video.orientation import Orientation
from unmask.video.sampling import Timed

MAX_SIDE_PX = 8192
MAX_PIXEL_RATIO = 4.0  # more oblong pixels than this are a mistake in the header

MIN_GAP_SECONDS = 0.5  # without a picture
ROUNDING_SECONDS = 2e-6  # times are rounded to a millionth
FAR_SECONDS = 1e6  # a time after the end of every video

REORDERED_PACKETS = 16  # the most by which H.264 and H.265 send a picture before others that are shown earlier
REPAIR_SECONDS = 10.0  # wait at most this long for a key frame after damage
READ_ERRORS = 8  # in a row, then the file counts as ended
END_PACKETS = 5_000  # read at most so many to find the end of a video that claims an end,
SCAN_PACKETS = 500_000  # and so many of one that claims none
KEY_PACKETS = 2_000  # read at most so many to find a key frame after a seek
STEPS_BACK_SECONDS = (0.0, 2.0, 10.0)  # where MPEG-TS lands after a key frame, seek earlier
BISECTIONS = 12  # of the claimed duration, where the end of the file is missing

BROADCAST_FORMATS = frozenset({"mpegts", "mpeg"})  # can be joined at any byte, each part with a clock of its own
PACKED_VIEWS = frozenset({1, 2, 5})  # AV_STEREO3D_SIDEBYSIDE, _TOPBOTTOM, _SIDEBYSIDE_QUINCUNX


@contextmanager
def open_video(
    media: Path | RawIOBase, start_seconds: float | None = None, reformatter: VideoReformatter | None = None
) -> Iterator["VideoReader"]:
    """Open a file without giving libav a way to open anything else; one that is open already stays open.

    Args:
        media: The file, or a piece of one.
        start_seconds: When a player shows the first picture of the piece; None: it is the whole video.
        reformatter: Of the pieces before: to learn how HDR is tone-mapped takes it seconds.

    Raises:
        BadInput: There is no such file.
        NotAVideo, NoFrames, TooLarge: It cannot be read, holds only sound, or its pictures are too large.
    """
    with open_file(media) if isinstance(media, Path) else nullcontext(media) as file:
        if offset := file_format.transport_stream_offset(file):
            file = FilePart(file, offset, file.seek(0, os.SEEK_END))
        file_format.reject_other_files(file)
        options = {"ignore_editlist": "1"} if lacks_lengths(file) else {}
        with open_container(file, **options) as container:
            stream = video_stream(container)
            if stream.codec_context.width < 1:  # libav hides a size beyond its limits unless it cannot decode
                with open_container(file, codec_whitelist="none") as undecoded:
                    hidden = undecoded.streams.video[0].codec_context
                    _square_pixels(hidden.width, hidden.height, 1.0)
            reader = VideoReader(container, stream, start_seconds, reformatter)
            try:
                yield reader
            finally:
                reader.close()


class VideoReader:
    """The video stream of an open file; what its headers claim is not trusted."""

    def __init__(
        self,
        container: InputContainer,
        stream: AvStream,
        start_seconds: float | None,
        reformatter: VideoReformatter | None,
    ) -> None:
        self._container = container
        self._stream = stream
        self._context = stream.codec_context
        self._pixel_ratio = float(stream.sample_aspect_ratio or 1)  # of the container, where it says one
        self._first_ratio: Any = None  # what the coded pictures say of it at first; they may change
        _square_pixels(self._context.width, self._context.height, self._pixel_ratio)
        self.coded_pixels = self._context.width * self._context.height
        self.codec = self._context.codec.canonical_name
        rate = stream.average_rate or stream.guessed_rate
        self.frame_rate = float(rate) if rate else None
        self._has_other_streams = len(moving_streams(container)) > 1
        self.announces = container.format.name not in BROADCAST_FORMATS  # the header says how long the pictures last
        self._decoder = choose_decoder(stream)
        self._tags = colour.read_tags(self._context) if self.announces else {}
        keep_only(stream, container)
        self._orientation = Orientation()
        self._rotation: int | None = None  # degrees that go with it; None: no frame is decoded
        self._reformatter = reformatter or VideoReformatter()
        self._tick_seconds = float(stream.time_base or 1)
        self.clock_seconds = (stream.start_time or 0) * self._tick_seconds  # of the first picture, on the file's clock
        self.place(start_seconds)
        self._decoded = self._decode_from(-math.inf)
        self._held: Timed[av.VideoFrame] | None = None  # the frame at which `frames_until` ended
        self._says_lengths = "mp4" in container.format.name  # of each picture, also of one that stays
        self._shown_until = math.inf  # the end of the last frame given out
        self._damage = False  # frames were left out before the one that was decoded last
        self._landings: dict[float, float] = {}  # key frame -> the time to seek to that leads there
        self.position_seconds: float | None = None  # of the last frame given out; None: not started
        # What no other frame needs is skipped before `full_detail_from_seconds`, and up to the last target unless it is
        # the nearest to one of them.
        self.full_detail_from_seconds = -math.inf
        self.targets: tuple[float, ...] = ()  # seconds, rising
        self.packets_decoded = 0
        self.has_shown_hdr = False

    def metadata(self) -> dict[str, str]:
        """Return the tags of the file and of the stream; those of the file go first where both have one."""
        return {**self._stream.metadata, **self._container.metadata}

    def close(self) -> None:
        """Drop the generator, which holds this object, and with it the decoder's pictures."""
        self._decoded, self._held = iter(()), None

    @property
    def ahead_seconds(self) -> float:
        """What the player's clock is ahead of the file's."""
        return -self._zero_seconds

    def place(self, start_seconds: float | None) -> None:
        """Show the first picture at `start_seconds`; None: the first picture or sound at zero, as players do."""
        zero = _zero_seconds(self._container) if start_seconds is None else self.clock_seconds - start_seconds
        self._zero_seconds = zero
        self._earliest_seconds = min(0.0, start_seconds or 0.0)
        self.begin_seconds = self._seconds(self._stream.start_time or 0)  # of the first picture

    # Seeking and reading packets, without decoding.

    def key_frame_before(self, seconds: float) -> float | None:
        """Find the time of the last key frame at or before `seconds`, or of the next one if none is found there."""
        found = None
        for back in STEPS_BACK_SECONDS:
            self._seek(seconds - back)
            keys = (p for p in islice(self._packets(), KEY_PACKETS) if p.is_keyframe and p.pts is not None)
            key = next((self._seconds(packet.pts) for packet in keys), None)
            if key is not None:
                self._landings[key] = seconds - back
            if key is not None and key <= seconds:
                return key
            found = key if found is None else found
        return found

    def end_seconds(self) -> float | None:
        """Find when the last picture ends, from the end of the file: headers lie, or are missing."""
        claimed = self.claimed_end_seconds()
        self._seek(FAR_SECONDS)
        end, complete = self._last_end_seconds(SCAN_PACKETS if claimed is None else END_PACKETS)
        if end is None and claimed is not None:  # the header counts what the file has lost, or an edit list cuts off
            self._seek(self._last_readable_seconds(claimed))
            end, complete = self._last_end_seconds(END_PACKETS)
        if end is None or complete:
            return end
        return max(end, claimed or 0.0)

    def claimed_end_seconds(self) -> float | None:
        """Return when the last picture ends by the header; None: it does not say."""
        if self._stream.duration and self._container.format.name != "asf":  # which counts from zero,
            fragmented = self._says_lengths and not self._stream.frames  # as do fragments of MP4
            start = min(0, self._stream.start_time or 0) if fragmented else self._stream.start_time or 0
            return self._seconds(start + self._stream.duration)
        if not self._container.duration:
            return None
        seconds = self._container.duration / av.time_base  # counted from zero, or from the first picture
        return max(seconds - self._zero_seconds, 0.0) or self.begin_seconds + seconds

    def announced_end_seconds(self) -> float | None:
        """Return when the last picture ends by the header, also of an AVI of which libav counts only what is left."""
        claimed = self.claimed_end_seconds()
        if claimed is None or self._container.format.name != "avi" or not self.frame_rate:
            return claimed
        return max(claimed, self._stream.frames / self.frame_rate)

    def is_encrypted(self) -> bool:
        """Tell whether the first picture needs a key."""
        self._seek(self.begin_seconds)
        return any(packet.has_sidedata("encryption_info") for packet in islice(self._packets(), 1))

    @property
    def gap(self) -> tuple[float, float] | None:
        """The (start, end) in which no picture is shown before the frame at which `frames_until` ended."""
        if self._held is None or not self._says_lengths or math.isinf(self._shown_until):
            return None
        return (self._shown_until, self._held[0]) if self._held[0] - self._shown_until > MIN_GAP_SECONDS else None

    @property
    def lacks_pictures(self) -> bool:
        """Whether pictures are missing before the frame at which `frames_until` ended; not where the last one stays."""
        nothing_shown = self._says_lengths and self._shown_until == -math.inf
        return not self.announces or self._held is None or self._damage or nothing_shown or self.gap is not None

    def has_sound_after(self, seconds: float) -> bool:
        """Tell whether other streams go on after the pictures have ended."""
        for stream in self._container.streams:
            stream.discard = Discard.default
        self._seek(seconds)
        found = False
        with suppress(*MEDIA_ERRORS):
            found = any(
                packet.pts is not None
                and packet.stream_index != self._stream.index
                and float(packet.pts * packet.time_base) - self._zero_seconds > seconds
                for packet in islice(self._container.demux(), KEY_PACKETS)
            )
        keep_only(self._stream, self._container)
        return found

    def _last_end_seconds(self, packets: int) -> tuple[float | None, bool]:
        """Read at most so many packets from here on -> (end of the last picture, was it the last?)."""
        end, left, is_cut = None, packets, False
        for packet in islice(self._packets(), packets):
            left -= 1
            is_cut = packet.is_discard
            if packet.pts is not None and not is_cut:
                end = max(end or 0.0, self._seconds(packet.pts + (packet.duration or 0)))
        self.announces &= not is_cut  # libav counts an edit that delays the pictures as if they were longer
        return end, left > 0

    def _last_readable_seconds(self, claimed_seconds: float) -> float:
        """Bisect for the last time after which the file still holds a picture that is shown."""
        readable, missing = self.begin_seconds, claimed_seconds
        for _ in range(BISECTIONS):
            middle = (readable + missing) / 2
            self._seek(middle)
            found = any(not packet.is_discard for packet in self._packets())
            readable, missing = (middle, missing) if found else (readable, middle)
        return readable

    # Decoding.

    def seek_to_key_frame(self, key_seconds: float | None) -> None:
        """Decode from this key frame on; None: from the first frame."""
        self._seek(self.begin_seconds if key_seconds is None else self._landings.get(key_seconds, key_seconds))
        self._held, self._shown_until = None, -math.inf
        self._decoded = self._decode_from(-math.inf if key_seconds is None else key_seconds)

    def frames_until(self, end_seconds: float, packets: float = math.inf) -> Iterator[Timed[av.VideoFrame]]:
        """Yield frames in order of time; end before `end_seconds`, or when so many packets are decoded in all.

        The frame at which it ends is kept for the next call.
        """
        while now := self._held or next(self._decoded, None):
            self._held = now
            if now[0] >= end_seconds or self.packets_decoded > packets:
                return
            self._held, self.position_seconds = None, now[0]
            self._shown_until = now[0] + (now[1].duration or 0) * self._tick_seconds
            yield now

    def traits(self, frame: av.VideoFrame) -> tuple[str, ...]:
        """Name what a report says of how a frame is shown, see `download.sources.NOTICES`."""
        side_data: Any = frame.side_data
        found = {
            "hdr": colour.is_hdr(frame),
            "several_tracks": self._has_other_streams,
            "spherical": side_data.get(SideDataType.SPHERICAL) is not None,
            "stereo": int.from_bytes(bytes(side_data.get(SideDataType.STEREO3D) or b"")[:4], "little") in PACKED_VIEWS,
        }
        return tuple(name for name, holds in found.items() if holds)

    def shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Compute (width, height) px as a browser shows the frame: upright, its pixels made square. Raises TooLarge."""
        size = self._coded_size(frame)
        return size[::-1] if self._orientation.transpose else size

    def to_rgb(self, frame: av.VideoFrame, max_side_px: int) -> tuple[Image, float]:
        """Convert the frame decoded last as a player does -> ((H, W, 3) upright, px shown per px of it).

        It is scaled down while converting. Sizes, aspect, orientation and colour may be others at any frame.

        Raises:
            TooLarge: Its pictures have become larger than is read.
        """
        shown = self._coded_size(frame)
        size = fit(shown, max_side_px)
        self.has_shown_hdr |= colour.is_hdr(frame)
        rgb = colour.to_rgb(frame, size, self._reformatter)
        return np.ascontiguousarray(self._orientation.apply(rgb)), max(shown) / max(size)

    def _coded_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Compute (width, height) px before the frame is put upright."""
        coded = self._context.sample_aspect_ratio
        ratio = self._pixel_ratio if coded == self._first_ratio else float(coded or 1)
        return _square_pixels(frame.width, frame.height, ratio)

    def _decode_from(self, start_seconds: float) -> Iterator[Timed[av.VideoFrame]]:
        """Yield whole frames from the key frame at `start_seconds` on, in order of time.

        Left out: what the decoder marks as damaged, and after a damaged packet everything up to the next key
        frame, for the decoder would only guess it.
        """
        last_seconds, guessed_since_seconds, damage = -math.inf, -math.inf, False
        for seconds, frame in self._raw_frames(start_seconds):
            if frame is None:
                guessed_since_seconds, damage = math.inf, True
                continue
            guessed_since_seconds = min(guessed_since_seconds, seconds)
            if frame.key_frame or seconds >= guessed_since_seconds + REPAIR_SECONDS:
                guessed_since_seconds = -math.inf
            guessed = guessed_since_seconds > -math.inf or frame.is_corrupt
            damage |= guessed
            if seconds > last_seconds and seconds >= start_seconds and not guessed:
                last_seconds, self._damage, damage = seconds, damage, False
                self._learn_orientation(frame)
                colour.complete_tags(frame, self._tags)
                yield seconds, frame

    def _learn_orientation(self, frame: av.VideoFrame) -> None:
        """Ask a frame only where it changes: one that was asked stays in memory until the garbage collector comes."""
        if frame.rotation != self._rotation:
            if self._rotation is None:
                self._first_ratio = self._context.sample_aspect_ratio
                colour.reject_dolby_vision(frame, self._context.codec_tag)
            self._orientation, self._rotation = Orientation.of(frame), frame.rotation

    def _raw_frames(self, start_seconds: float) -> Iterator[Timed[av.VideoFrame | None]]:
        """Yield what the decoder makes of the packets from the key frame on: frames, and None at each error."""
        packets = dropwhile(lambda p: not p.is_keyframe or self._seconds(p.pts) < start_seconds, self._packets())
        for packet, before, after in chain(self._with_neighbours(packets), [(None, -math.inf, math.inf)]):
            try:
                frames = self._decode(packet, before, after)
            except MEDIA_ERRORS:
                yield -math.inf, None
                continue
            yield from ((self._seconds(frame.pts), frame) for frame in frames if self._is_shown(frame))

    def _is_shown(self, frame: av.VideoFrame) -> bool:
        """Tell whether a frame has a time, and does not end before the player's clock begins."""
        if frame.pts is None:
            return False
        until = (frame.pts + (frame.duration or 0)) * self._tick_seconds - self._zero_seconds
        return not frame.duration or until > self._earliest_seconds + ROUNDING_SECONDS

    def _with_neighbours(
        self, packets: "Iterable[Packet[AvStream]]"
    ) -> "Iterator[tuple[Packet[AvStream], float, float]]":
        """Yield packets with the times of what is shown before and after each."""
        earlier: deque[float] = deque(maxlen=REORDERED_PACKETS)
        ahead: deque[tuple[float, Packet[AvStream]]] = deque()
        for packet in chain(packets, [None]):
            if packet is not None:
                ahead.append((self._seconds(packet.pts), packet))
            while len(ahead) > (REORDERED_PACKETS if self.targets and packet is not None else 0):
                seconds, first = ahead.popleft()
                times = [*earlier, *(one for one, _ in ahead)]
                before = max((one for one in times if one < seconds), default=-math.inf)
                yield first, before, min((one for one in times if one > seconds), default=math.inf)
                earlier.append(seconds)

    def _decode(self, packet: "Packet[AvStream] | None", before: float, after: float) -> list[av.VideoFrame]:
        """Decode a packet between those shown before and after it; None: what is still inside the decoder."""
        if packet is not None:
            self.packets_decoded += 1
            needed = packet.pts is None or self._is_needed(before, self._seconds(packet.pts), after)
            self._decoder.skip_frame = "DEFAULT" if needed else "NONREF"
        frames: list[av.VideoFrame] = self._decoder.decode(packet)
        return frames

    def _is_needed(self, before: float, seconds: float, after: float) -> bool:
        """Tell whether a frame may be picked: where frames are few, any of them."""
        if seconds < self.full_detail_from_seconds:
            return False
        few = len(self.targets) < 2 or after - before >= self.targets[1] - self.targets[0]
        low, high = (before + seconds) / 2 - ROUNDING_SECONDS, (seconds + after) / 2 + ROUNDING_SECONDS
        return few or high > self.targets[-1] or any(low <= target <= high for target in self.targets)

    def _packets(self) -> Iterator["Packet[AvStream]"]:
        """Yield packets of the video from here on; a place that cannot be read is left out."""
        errors = 0
        while errors < READ_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        errors = 0
                        yield packet
                return
            except MEDIA_ERRORS:
                errors += 1

    def _seek(self, seconds: float) -> None:
        """Land on a key frame at or before `seconds`, if the container can."""
        ticks = math.floor((seconds + self._zero_seconds + ROUNDING_SECONDS) / self._tick_seconds)
        with suppress(*MEDIA_ERRORS):
            self._container.seek(ticks, stream=self._stream)
            self._decoder.flush_buffers()

    def _seconds(self, pts: int | None) -> float:
        """Convert to time on the player's clock; what has none sorts before everything else."""
        if pts is None:
            return -math.inf
        return max(self._earliest_seconds, round(pts * self._tick_seconds - self._zero_seconds, 6))


def _zero_seconds(container: InputContainer) -> float:
    """Find what the file calls the player's zero: its first sound or picture.

    A recording may begin at any hour of its clock. In MP4 and the like a sound before zero is only there to start the
    decoder, whereas the clock of a broadcast stream that wraps begins below zero.
    """
    start = (container.start_time or 0) / av.time_base
    return start if container.format.name in BROADCAST_FORMATS else max(0.0, start)


def _square_pixels(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Give (width, height) px as a browser shows them, before rotation: oblong pixels are stretched to squares.

    Raises:
        TooLarge: By the header alone, before anything is decoded.
    """
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise TooLarge(f"The picture is {width} × {height} pixels; at most {MAX_SIDE_PX} a side are read.")
    if min(width, height) < 1:
        raise NotAVideo("The file does not say how large its pictures are: it is damaged or incomplete.")
    if not 1 / MAX_PIXEL_RATIO <= ratio <= MAX_PIXEL_RATIO:
        ratio = 1.0
    return (round(width * ratio), height) if ratio >= 1 else (width, round(height / ratio))


def fit(size: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    """Scale (width, height) down, never up, so that no side is longer than `max_side_px`."""
    scale = min(1.0, max_side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
