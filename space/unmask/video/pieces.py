"""Split a media file into pieces that have one clock each, so that a player's clock runs on over all of them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from io import RawIOBase
from itertools import islice, pairwise

from unmask.errors import UnmaskError
from unmask.video.broadcast_clocks import PACK, find_broadcast_starts, find_sampled_starts
from unmask.video.byte_ranges import FilePart
from unmask.video.file_format import transport_stream_offset
from unmask.video.joined_files import (
    ASF,
    EBML,
    IVF,
    OGG,
    find_asf_starts,
    find_flv_starts,
    find_ivf_starts,
    find_matroska_starts,
    find_mp4_starts,
    find_ogg_starts,
    find_ogg_starts_by_ranges,
)
from unmask.video.sampling import Piece, PieceStart
from unmask.video.video_reader import open_video

MAX_PIECES = 256  # of a file
Format = tuple[int, bytes, Callable[[RawIOBase, int, int], Iterable[PieceStart]]]  # place of a mark, mark, the finder

FORMATS: tuple[Format, ...] = (
    (4, b"ftyp", find_mp4_starts),
    (0, EBML, find_matroska_starts),
    (0, b"FLV", find_flv_starts),
    (0, OGG, find_ogg_starts),
    (0, ASF, find_asf_starts),
    (0, IVF, find_ivf_starts),
    (0, PACK, find_broadcast_starts),
    (0, b"\x47", find_broadcast_starts),
    (4, b"\x47", find_broadcast_starts),  # as disks hold it
)

REMOTE_FORMATS: tuple[Format, ...] = (
    (4, b"ftyp", partial(find_mp4_starts, by_index=True)),
    (0, EBML, partial(find_matroska_starts, scan_bytes=0)),
    (0, OGG, find_ogg_starts_by_ranges),
    (0, ASF, find_asf_starts),
    (0, IVF, find_ivf_starts),
    (0, PACK, find_sampled_starts),
    (0, b"\x47", find_sampled_starts),
    (4, b"\x47", find_sampled_starts),
)


def find_pieces(file: RawIOBase, whole: Piece) -> tuple[Piece, ...]:
    """Split a piece where its clock starts anew or jumps, or where another video was joined on.

    Broadcast streams may be joined at any byte, the others at any head, and fragments may come from several recordings:
    all that is read is the packets' times, or the boxes' sizes. Other formats are one piece.
    """
    return _find(file, whole, FORMATS)


def find_remote_pieces(file: RawIOBase, whole: Piece) -> tuple[Piece, ...]:
    """Split what `find_pieces` splits, of a few formats, without reading more ranges than libav will."""
    return _find(file, whole, REMOTE_FORMATS)


def _find(file: RawIOBase, whole: Piece, formats: Sequence[Format]) -> tuple[Piece, ...]:
    offset = transport_stream_offset(FilePart(file, whole.begin_byte, whole.end_byte))
    place = (file, whole.begin_byte + offset, whole.end_byte)
    start = FilePart(*place).read(12)
    found = next((find(*place) for at, mark, find in formats if start.startswith(mark, at)), ())
    return _laid_out(file, whole, list(islice(found, MAX_PIECES)))


def _laid_out(file: RawIOBase, whole: Piece, found: list[PieceStart]) -> tuple[Piece, ...]:
    """Put pieces on one clock, one behind the other."""
    if len(found) < 2:
        return (whole,)
    pieces: list[Piece] = []
    clock = whole.start_seconds
    for now, end in pairwise([*found, PieceStart(whole.end_byte)]):
        piece = Piece(now.byte, end.byte, clock, None, None if pieces else whole.period, now.init)
        clock += _length_seconds(file, piece) if now.seconds is None else now.seconds
        pieces.append(Piece(now.byte, end.byte, piece.start_seconds, clock, piece.period, now.init))
    return tuple(pieces)


def open_piece(file: RawIOBase, piece: Piece) -> FilePart:
    """Open a piece as a file of its own."""
    return FilePart(file, piece.begin_byte, piece.end_byte, FilePart(file, *piece.init).readall())


def _length_seconds(file: RawIOBase, piece: Piece) -> float:
    """Measure how long the pictures of a piece last; zero where it cannot be read."""
    try:
        with open_video(open_piece(file, piece), 0.0) as reader:
            return reader.end_seconds() or 0.0
    except UnmaskError:
        return 0.0
