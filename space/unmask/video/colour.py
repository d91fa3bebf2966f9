"""Convert decoded frames to RGB as a player does: matrix, range, primaries, tone mapping, transparency and fields."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from unmask.errors import NotAVideo
from unmask.video.frames import Image

HD_HEIGHT_PX = 720  # from which browsers take the matrix of an untagged picture for BT.709, below for BT.601
UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_PRI_UNSPECIFIED
TAGS = ("colorspace", "color_trc", "color_primaries")
RESERVED = frozenset({0, 3})  # numbers of tags that mean nothing; as a matrix, 0 is RGB
CONSTANT_LUMINANCE, CHROMA_DERIVED = 10, 12  # AVCOL_SPC_BT2020_CL, _CHROMA_DERIVED_NCL
BT2020_MATRICES = frozenset({9, CONSTANT_LUMINANCE})
DOLBY_MATRICES = frozenset({14, 15})  # ICtCp and IPT, of Dolby Vision, which swscale does not convert
DOLBY_TAGS = frozenset({"dvh1", "dvhe", "dav1", "dva1", "dvav"})  # of MP4s that no other decoder shows rightly
WIDE_PRIMARIES = frozenset({ColorPrimaries.BT2020, ColorPrimaries.SMPTE431, ColorPrimaries.SMPTE432})
FULL_RANGE = np.clip((np.arange(256) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)  # of each value of limited
# A line of one field is combed where the product of its differences to both neighbours, of the other field, is larger.
COMBED = 400
COMBED_SHARE = 0.0025  # of a picture; without motion between the fields it is less
HDR_TRANSFERS = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})  # PQ and HLG, which phones record


def to_rgb(frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter) -> Image:
    """Convert a frame to (H, W, 3) RGB of `size`, (width, height) px, not yet upright.

    Of a picture in BT.2020 that does not name its primaries, the frame's own tag is set.

    Raises:
        NotAVideo: Its colours cannot be converted.
    """
    if not frame.interlaced_frame:
        return _convert(frame, size, reformatter)
    coded_size = frame.width, frame.height
    image = deinterlace(_convert(frame, coded_size, reformatter))
    return image if size == coded_size else _convert(av.VideoFrame.from_ndarray(image, "rgb24"), size, reformatter)


def deinterlace(image: Image) -> Image:
    """Draw the lines of the second field anew, between those of the first, where the two show different moments."""
    green = image[:, ::4, 1].astype(np.int32)
    combed = (green[1:-1:2] - green[:-2:2]) * (green[1:-1:2] - green[2::2]) > COMBED
    if len(image) < 3 or combed.mean() < COMBED_SHARE:
        return image
    image = image.copy()
    image[1:-1:2] = (image[:-2:2].astype(np.uint16) + image[2::2]) // 2
    return image


def _convert(frame: av.VideoFrame, size: tuple[int, int], reformatter: VideoReformatter) -> Image:
    hdr = is_hdr(frame)
    if frame.color_primaries == UNTAGGED and (hdr or frame.colorspace in BT2020_MATRICES):
        frame.color_primaries = ColorPrimaries.BT2020
    wide = hdr or frame.color_primaries in WIDE_PRIMARIES
    frame = _without_metadata(frame) if hdr else frame
    parts = frame.format.components
    alpha = any(part.is_alpha for part in parts)
    try:
        rgb: Any = reformatter.reformat(
            frame,
            *size,
            format="rgba" if alpha else "rgb24",
            interpolation="AREA" if size[0] < frame.width else "BICUBIC",
            src_colorspace=_matrix(frame) if len(parts) >= 3 else None,
            dst_color_trc=ColorTrc.BT709 if wide else None,
            dst_color_primaries=ColorPrimaries.BT709 if wide else None,
            threads=1,
        ).to_ndarray()
    except OSError as error:
        raise NotAVideo(
            "The colours of this video are coded in a way that cannot be converted here. Give it in another form."
        ) from error
    if alpha:
        rgb = _on_white(rgb)
    elif len(parts) == 1 and frame.color_range == ColorRange.MPEG:  # swscale takes all grey for full range
        rgb = FULL_RANGE[rgb]
    return np.asarray(rgb, np.uint8)


def read_tags(context: Any) -> dict[str, int]:
    """Read how a container says that pictures are coded."""
    return {name: getattr(context, name) for name in TAGS if getattr(context, name) not in (UNTAGGED, *RESERVED)}


def complete_tags(frame: av.VideoFrame, tags: Mapping[str, int]) -> None:
    """Set what the coded pictures do not say of themselves and their container does, or take off what means nothing."""
    for name in TAGS:
        said = getattr(frame, name)
        if said in RESERVED and not (name == "colorspace" and frame.format.is_rgb):
            setattr(frame, name, tags.get(name, UNTAGGED))
        elif said == UNTAGGED and name in tags:
            setattr(frame, name, tags[name])


def _without_metadata(frame: av.VideoFrame) -> av.VideoFrame:
    """Take off how bright the mastering display was: swscale would darken all for it, where players keep faces."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, graph.add("sidedata", "mode=delete"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def is_hdr(frame: av.VideoFrame) -> bool:
    """Tell whether a frame must be tone-mapped for an ordinary screen."""
    return frame.color_trc in HDR_TRANSFERS


def _matrix(frame: av.VideoFrame) -> Colorspace | None:
    """Choose a matrix, as browsers do, where none is named or swscale lacks it; None: its own."""
    if frame.colorspace == CONSTANT_LUMINANCE:
        return Colorspace.BT2020
    if frame.format.is_rgb or frame.colorspace not in (UNTAGGED, CHROMA_DERIVED):
        return None
    if is_hdr(frame) or frame.color_primaries == ColorPrimaries.BT2020:
        return Colorspace.BT2020
    derived = frame.colorspace == CHROMA_DERIVED and frame.color_primaries == ColorPrimaries.BT709
    return Colorspace.ITU709 if derived or frame.height >= HD_HEIGHT_PX else Colorspace.ITU601


def _on_white(rgba: npt.NDArray[np.uint8]) -> Image:
    """Show a picture with transparent places on a white page."""
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return rgb
    return (255 - (255 - rgb.astype(np.uint16)) * alpha // 255).astype(np.uint8)


def reject_dolby_vision(frame: av.VideoFrame, tag: str) -> None:
    """Raise NotAVideo for Dolby Vision without another base, profile 5 above all: it would be judged by wrong colours.

    Its data say so where the decoder passes them on; else the name of the format in an MP4.
    """
    side_data: Any = frame.side_data
    found = side_data.get(SideDataType.DOVI_METADATA) if is_hdr(frame) or frame.colorspace == UNTAGGED else None
    only = tag in DOLBY_TAGS
    if found is not None:  # AVDOVIRpuDataHeader: vdr_rpu_profile at byte 4, bl_video_full_range_flag at 10
        data = bytes(found)
        head = int.from_bytes(data[:8], "little")
        only = data[head + 4 : head + 5] == b"\0" and data[head + 10 : head + 11] == b"\1"
    if only or frame.colorspace in DOLBY_MATRICES:
        raise NotAVideo(
            "This is Dolby Vision without an ordinary base (profile 5 or alike); its colours cannot be converted here. "
            "Give it in another form: HDR10, HLG or SDR."
        )
