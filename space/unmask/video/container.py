"""Open media files in libav and choose the stream to look at. The only module that opens untrusted bytes in libav.

libav gets an open file object instead of a name, may open nothing else, may use only the containers and decoders
named here, and is told the largest picture it may decode.
"""

import os
from io import RawIOBase
from typing import Any, NoReturn

import av
import av.error
from av.codec.context import CodecContext, ThreadType
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream as AvStream

from unmask.errors import NoFrames, NotAVideo
from unmask.video import file_format

MAX_PIXELS = 8192 * 4608  # 8K in either orientation
DECODER_THREADS = min(4, os.cpu_count() or 1)  # more only adds frames in flight

# Containers that cameras, sites and browsers write; none of them is a list of other files or addresses.
CONTAINERS = "mov,matroska,avi,flv,mpegts,mpeg,ogg,asf,mxf,dv,ivf,gif,apng,yuv4mpegpipe"
SOUND_CONTAINERS = "mp3,wav,flac,aac,aiff,caf,amr,ac3,eac3,w64"  # opened to say that there is no picture
VIDEO_DECODERS = (
    "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,msmpeg4v2,msmpeg4,mpeg1video,mpeg2video,h263,flv,theora,"
    "wmv1,wmv2,wmv3,vc1,mjpeg,png,gif,apng,prores,dnxhd,dvvideo,ffv1,rawvideo,qtrle"
)
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # of WebMs with transparency, which libav's own leave out
STILL_DECODERS = frozenset({"mjpeg", "png", "gif"})  # of pictures, which may also be those of a video
SOUND_DECODERS = "aac,mp3float,mp3,opus,vorbis,flac,ac3,eac3,alac,wmav2,pcm_s16le,pcm_s16be,pcm_f32le"
OPTIONS = {
    "format_whitelist": f"{CONTAINERS},{SOUND_CONTAINERS}",
    "codec_whitelist": f"{VIDEO_DECODERS},{SOUND_DECODERS}",
    "protocol_whitelist": "none",
    "max_pixels": str(MAX_PIXELS),
    "export_xmp": "1",
    "max_fps": "99",  # of an animated PNG: browsers show a picture of 10 ms or less, or without a time, for 100
    "default_fps": "10",
}
STILL_DISPOSITIONS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image

# What damaged files make libav, PyAV (a stream that appears late) and the file (a seek before 0) raise.
MEDIA_ERRORS = (av.error.FFmpegError, OSError, IndexError, ValueError)


def open_container(file: RawIOBase, **options: str) -> InputContainer:
    """Open a file in libav with the options of this module. Raises NotAVideo."""
    file.seek(0)
    kind = "apng" if file.read(4) == file_format.PNG_SIGNATURE[:4] else None  # libav takes one with a store for a still
    file.seek(0)
    try:
        return av.open(file, "r", kind, options=OPTIONS | options, metadata_errors="replace", io_open=_refuse_nested)
    except MEDIA_ERRORS as error:
        raise NotAVideo(file_format.why_unreadable(file)) from error


def video_stream(container: InputContainer) -> AvStream:
    """Choose the stream to look at; a cover picture in a sound file is not one."""
    streams = moving_streams(container)
    if not streams:
        if container.streams.audio:
            raise NoFrames("The file holds sound but no pictures.")
        raise NotAVideo(file_format.STILL_IMAGE_MESSAGE if container.streams.video else "The file holds no video.")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.codec_context is None or stream.codec_context.name not in VIDEO_DECODERS.split(","):
        raise NotAVideo("The video in this file is coded in a way that cannot be read here.")
    return stream


def moving_streams(container: InputContainer) -> list[AvStream]:
    """List the streams with moving pictures: no covers, and beside others no stills that are not called so."""
    streams = [stream for stream in container.streams.video if not stream.disposition & STILL_DISPOSITIONS]
    coded = [stream for stream in streams if stream.codec_context and stream.codec_context.name not in STILL_DECODERS]
    moving = [stream for stream in coded if stream.frames != 1]  # the first picture of an AVIF is also a stream
    return moving or coded or streams


def keep_only(stream: AvStream, container: InputContainer) -> None:
    """Let the container skip the packets of all other streams."""
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all


def choose_decoder(stream: AvStream) -> Any:
    """Choose the decoder of a stream, one that keeps its transparency, and set its threads and largest picture."""
    decoder: Any = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.codec.canonical_name in ALPHA_DECODERS:
        decoder = CodecContext.create(ALPHA_DECODERS[decoder.codec.canonical_name], "r")
    decoder.thread_type, decoder.thread_count = ThreadType.AUTO, DECODER_THREADS
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    return decoder


def _refuse_nested(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise NotAVideo("The file only points to other files; give the video itself.")
