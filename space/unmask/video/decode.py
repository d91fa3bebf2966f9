"""Decode a media file into `Frames`: a few windows, spread over the whole video.

Each window starts at a key frame where key frames are dense, and is reached by decoding forward where they
are not. Cost depends on the number of windows, not on the length of the video. Untrusted files are
decoded in a worker process: `decode_client` has the same three functions.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from io import RawIOBase
from itertools import chain
from pathlib import Path
from typing import TypeVar, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from unmask.errors import BadInput, NoFrames, NotAVideo
from unmask.video.animations import SIGNATURE_BYTES, is_animated_webp, to_matroska, with_times_of_browsers
from unmask.video.byte_ranges import FilePart, open_file
from unmask.video.container import MAX_PIXELS
from unmask.video.embedded import find_motion_video, read_tags
from unmask.video.file_format import reject_scrambled
from unmask.video.frames import Frames, Image, VideoStream
from unmask.video.pieces import find_pieces, open_piece
from unmask.video.sampling import (
    MAX_SIDE_PX,
    DecodePlan,
    Piece,
    Span,
    Timed,
    Window,
    gap_seconds,
    pick_nearest,
    snap_to_key_frames,
    spread_windows,
    window_starts,
)
from unmask.video.video_reader import VideoReader, open_video

# Frames decoded only to reach a window, and once more inside it: 1e9 pixels = 480 frames of 1080p (16 s at
# 30 a second, twice the usual distance of key frames), about a second of work.
FORWARD_PIXELS = 1_000_000_000
FORWARD_FRAMES = (64, 4000)  # fewest and most, whatever the size of a picture
FULL_DETAIL_SECONDS = 0.25  # before a window (and two frames), no frame is skipped any more
FIRST_FRAME_PACKETS = 300  # a file that shows no picture within these shows none

UNREADABLE = (NotAVideo, NoFrames)  # one of several pieces may be
DRIFT_SECONDS = 2.0  # by which a playlist may lie beside the clock of its segments
GAP_SECONDS, GAP_SHARE = 1.0, 0.1  # less than both of a piece may be missing at its end: headers round

Item = TypeVar("Item")


def probe(media: Path | RawIOBase, pieces: Sequence[Piece] = ()) -> VideoStream:
    """Look at the header, the first frame and the end.

    Raises:
        BadInput: There is no such file.
        NotAVideo: It cannot be read.
        NoFrames: It holds only sound, or nothing in it decodes.
        TooLarge: Its pictures are larger than is read.
    """
    with _opened(media, pieces) as (file, pieces):
        for piece in pieces[:-1]:
            with suppress(*UNREADABLE):
                return _describe(file, piece, pieces)
        return _describe(file, pieces[-1], pieces)


def _describe(file: RawIOBase, piece: Piece, pieces: Sequence[Piece]) -> VideoStream:
    """Describe a file by one of its pieces. Raises what `probe` raises."""
    with _open_piece(file, piece, len(pieces)) as reader:
        first = next(reader.frames_until(math.inf, FIRST_FRAME_PACKETS), None)
        if first is None and reader.is_encrypted():
            raise NoFrames("The pictures of this file are encrypted (copy protection, DRM) and cannot be decoded.")
        if first is None:
            raise NoFrames("The file says that it holds video, but no picture in it can be decoded.")
        width, height = reader.shown_size(first[1])
        end_seconds = reader.end_seconds() if pieces[-1].end_seconds is None else pieces[-1].end_seconds
        return VideoStream(
            width,
            height,
            end_seconds,
            reader.frame_rate,
            reader.codec,
            read_tags(reader.metadata()),
            traits=reader.traits(first[1]),
        )


def decode(
    media: Path | RawIOBase,
    plan: DecodePlan,
    pieces: Sequence[Piece] = (),
    starts: Sequence[float] = (),
    on_gap: Callable[[float, float], None] = lambda start, end: None,
    on_hdr: Callable[[bool], None] = lambda hdr: None,
) -> Iterator[Frames]:
    """Yield the windows of `plan` one after another, so that one is in memory at a time.

    Windows never share a frame. One in which nothing decodes is left out; one in which the size changes is cut there.

    Args:
        media: The file.
        plan: In seconds of the player.
        pieces: Of the file, in the order in which a player shows them; none: it is looked for them.
        starts: Of the windows, where they are fixed already.
        on_gap: Gets the (start, end) of what is announced, but not there.
        on_hdr: Gets whether pictures of a window were HDR.

    Raises:
        NoFrames: No window holds a frame.
        BadInput: The asked start lies beyond the end. And what `probe` raises.
    """
    with _opened(media, pieces) as (file, pieces):
        empty = True
        for reader, windows in _lay_out(file, pieces, starts, plan, on_gap):
            for window in windows:
                runs = _split_by_size(reader, _pick_frames(reader, window, plan), plan.max_side_px)
                on_hdr(reader.has_shown_hdr)
                empty = empty and not runs
                if reader.gap:
                    on_gap(*reader.gap)
                elif not runs and reader.lacks_pictures:
                    on_gap(window.start_seconds, min(window.until_seconds, window.start_seconds + plan.window_seconds))
                while runs:
                    scale, seconds, images = runs.pop(0)
                    frames = Frames(np.stack(images), np.array(seconds), scale)
                    del images  # while the caller looks at them, they would be in memory twice
                    yield frames
                    del frames
        if empty:
            raise NoFrames("No picture can be decoded from the asked part of this video.")


def readable(file: RawIOBase) -> RawIOBase:
    """Return the file, or one that libav can read in its place. Raises NotAVideo, NoFrames, TooLarge."""
    reject_scrambled(file)
    file.seek(0)
    start = file.read(SIGNATURE_BYTES)
    if is_animated_webp(start):
        return cast(RawIOBase, to_matroska(file, MAX_PIXELS))
    if start.startswith(b"GIF8"):
        return cast(RawIOBase, with_times_of_browsers(file))
    motion = find_motion_video(file)
    return FilePart(file, *motion) if motion else file


@contextmanager
def _opened(media: Path | RawIOBase, pieces: Sequence[Piece]) -> Iterator[tuple[RawIOBase, Sequence[Piece]]]:
    """Open a file, and look for its pieces where they are not known."""
    with open_file(media) if isinstance(media, Path) else nullcontext(media) as opened:
        file = readable(opened)
        yield file, pieces or find_pieces(file, Piece(0, file.seek(0, os.SEEK_END)))


def _open_piece(
    file: RawIOBase, piece: Piece, pieces: int, reformatter: VideoReformatter | None = None
) -> AbstractContextManager[VideoReader]:
    """Open one of so many pieces; a single one that nothing was cut from is the whole file."""
    if pieces == 1 and piece.end_seconds is None:
        return open_video(file)
    return open_video(open_piece(file, piece), piece.start_seconds - piece.lead_seconds, reformatter)


def _split_by_size(
    reader: VideoReader, timed: Iterator[Timed[av.VideoFrame]], max_side_px: int
) -> list[tuple[float, list[float], list[Image]]]:
    """Convert frames, a new run where their size changes -> (scale, seconds, images) of each."""
    runs: list[tuple[float, list[float], list[Image]]] = []
    for seconds, frame in timed:
        image, scale = reader.to_rgb(frame, max_side_px)
        if not runs or runs[-1][0] != scale or runs[-1][2][0].shape != image.shape:
            runs.append((scale, [], []))
        runs[-1][1].append(seconds)
        runs[-1][2].append(image)
    return runs


def play(media: Path | RawIOBase, span: Span, max_side_px: int = MAX_SIDE_PX) -> Iterator[Timed[Image]]:
    """Yield every frame shown in `span` as (seconds, (H, W, 3) RGB); cost grows with the span.

    Raises what `decode` raises.
    """
    end = math.inf if span.end_seconds is None else span.end_seconds
    empty = True
    reformatter = VideoReformatter()
    with _opened(media, ()) as (file, pieces):
        for piece in pieces:
            until = math.inf if piece.end_seconds is None else piece.end_seconds
            if piece.start_seconds >= end or until <= span.start_seconds:
                continue
            with _open_piece(file, piece, len(pieces), reformatter) as reader:
                reader.seek_to_key_frame(reader.key_frame_before(span.start_seconds))
                for seconds, frame in reader.frames_until(min(end, until)):
                    if seconds >= span.start_seconds:
                        empty = False
                        yield seconds, reader.to_rgb(frame, max_side_px)[0]
    if empty:
        raise NoFrames("No picture can be decoded from the asked part of this video.")


def _lay_out(
    file: RawIOBase,
    pieces: Sequence[Piece],
    starts: Sequence[float],
    plan: DecodePlan,
    on_gap: Callable[[float, float], None],
) -> Iterator[tuple[VideoReader, list[Window]]]:
    """Open one piece after another, where there is something to look at, and lay out its windows."""
    if len(pieces) > 1 and not starts:
        starts = _spread_over(pieces, plan)
    clocks: dict[int, float] = {}  # of each period: what the player's clock is ahead of the file's
    waiting = list(pieces)
    reformatter = VideoReformatter()
    while waiting:
        piece = waiting.pop(0)
        if piece.end_byte == piece.begin_byte and piece.end_seconds:  # the playlist says that it is missing
            on_gap(piece.start_seconds, piece.end_seconds)
            continue
        until = waiting[0].start_seconds if waiting else math.inf
        inside = [start for start in starts if (start >= piece.start_seconds or piece is pieces[0]) and start < until]
        if starts and not inside:
            continue
        with ExitStack() as opened:
            try:
                reader = opened.enter_context(_open_piece(file, piece, len(pieces), reformatter))
            except UNREADABLE:
                if len(pieces) == 1:
                    raise
                on_gap(piece.start_seconds, min(until, piece.end_seconds or until))
                continue
            if piece.period is not None:
                _place_on_clock(reader, piece, clocks.get(piece.period))
                clocks.setdefault(piece.period, reader.ahead_seconds)
                if abs((reader.end_seconds() or 0.0) - (piece.end_seconds or 0.0)) > DRIFT_SECONDS:
                    parts = find_pieces(file, piece)
                    if len(parts) > 1:  # its clock starts anew, and the playlist does not say so
                        waiting[:0] = parts
                        continue
            gap = gap_seconds(starts, plan.window_seconds) if starts else None
            yield reader, _lay_out_windows(reader, piece, inside, gap, plan, on_gap)


def _spread_over(pieces: Sequence[Piece], plan: DecodePlan) -> list[float]:
    """Spread the windows over the pieces whose bytes are there -> their starts. Raises BadInput."""
    present = [piece for piece in pieces if piece.end_byte > piece.begin_byte]
    ranges = [(piece.start_seconds, piece.end_seconds or piece.start_seconds) for piece in present]
    starts = spread_windows(ranges, plan.span, plan.window_seconds, plan.windows)
    if not starts:
        raise _beyond(plan.start_seconds, ranges[-1][1])
    return starts


def _place_on_clock(reader: VideoReader, piece: Piece, known_ahead: float | None) -> None:
    """Put a piece of a playlist on the player's clock: by its manifest, or by a piece of the same period before it."""
    expected = piece.start_seconds - piece.lead_seconds
    if expected == 0.0 and piece.ahead_seconds is None:
        reader.place(None)
    for ahead in (piece.ahead_seconds, known_ahead):
        if ahead is not None and abs(reader.clock_seconds + ahead - expected) <= DRIFT_SECONDS:
            reader.place(reader.clock_seconds + ahead)
            return


def _lay_out_windows(
    reader: VideoReader,
    piece: Piece,
    starts: Sequence[float],
    gap: float | None,
    plan: DecodePlan,
    on_gap: Callable[[float, float], None],
) -> list[Window]:
    """Find the end and the key frames, by seeking only, and lay out the windows of a piece."""
    end = reader.end_seconds()
    announced = piece.end_seconds
    if announced is None and reader.announces:
        announced = reader.announced_end_seconds()
    if end is not None and announced is not None:
        asked_end = announced if plan.end_seconds is None else min(announced, plan.end_seconds)
        lacking = asked_end - end > max(GAP_SECONDS, GAP_SHARE * (announced - reader.begin_seconds))
        if lacking and not reader.has_sound_after(end + GAP_SECONDS):
            on_gap(end, asked_end)
    asked = math.inf if plan.end_seconds is None else plan.end_seconds
    if not starts:
        if end is not None and 0 < plan.start_seconds >= end:
            raise _beyond(plan.start_seconds, end)
        begin = max(plan.start_seconds, reader.begin_seconds)
        known = begin + plan.windows * plan.window_seconds if end is None else end
        starts = window_starts(begin, min(asked, known), plan.window_seconds, plan.windows)
    elif end is not None:  # a playlist does not say exactly how long its pieces are
        last = max(reader.begin_seconds, end - plan.window_seconds)
        fitting = [min(max(start, reader.begin_seconds), last) for start in starts]
        starts = [start for i, start in enumerate(fitting) if not i or start >= fitting[i - 1] + plan.window_seconds]
    keys = [reader.key_frame_before(start) for start in starts]
    gap = gap_seconds(starts, plan.window_seconds) if gap is None else gap
    windows = snap_to_key_frames(starts, keys, gap, asked, keep_first=piece.start_seconds <= plan.start_seconds)
    if piece.lead_seconds:
        windows = [replace(each, start_seconds=max(each.start_seconds, piece.start_seconds)) for each in windows]
    return windows


def _beyond(start_seconds: float, end_seconds: float) -> BadInput:
    return BadInput(f"The start, {start_seconds:g} s, lies beyond the end of the video, {end_seconds:.1f} s.")


def _pick_frames(reader: VideoReader, window: Window, plan: DecodePlan) -> Iterator[Timed[av.VideoFrame]]:
    """Go to a window and pick its frames."""
    key, position = window.key_seconds, reader.position_seconds
    if position is None or (key is not None and key > position):
        reader.seek_to_key_frame(key)
    lead_seconds = max(FULL_DETAIL_SECONDS, 2 / (reader.frame_rate or 1))
    reader.full_detail_from_seconds = window.start_seconds - lead_seconds
    steps = [i * plan.frame_stride_seconds for i in range(plan.frames_per_window)]
    reader.targets = tuple(window.start_seconds + step for step in steps)
    start, timed = _decode_up_to(reader, window)
    if start != window.start_seconds:
        reader.targets = ()
    return pick_nearest(timed, (start + step for step in steps))


def _decode_up_to(reader: VideoReader, window: Window) -> tuple[float, Iterator[Timed[av.VideoFrame]]]:
    """Decode up to a window -> (its start, the frames from the last one before it on).

    Where the budget does not reach so far, the window starts where the budget ends.
    """
    fewest, most = FORWARD_FRAMES
    budget = min(max(FORWARD_PIXELS // reader.coded_pixels, fewest), most)
    spent = reader.packets_decoded + budget
    timed = reader.frames_until(window.until_seconds, spent + budget)
    before: list[Timed[av.VideoFrame]] = []
    for now in timed:
        if now[0] >= window.start_seconds or reader.packets_decoded >= spent:
            start = min(window.start_seconds, now[0]) if before else now[0]
            return start, chain(before, [now], timed)
        before = [now]
    return window.start_seconds, iter(before)
