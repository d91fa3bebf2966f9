"""Pages like those of the web, each of which has its video in another way.

/plain · /frame · /two · /in-place · /strict: a policy that forbids everything · /nothing: no video
/shadow: in a closed shadow root · /later: comes a second after the page · /held: the Space gets it late
/stream: MediaSource, which only the browser can see · /live: cannot be wound
/tainted: from an origin that the page may not read, and no server · /tainted-frame: that in a frame
/black: protected, as far as a program can see · /labelled: a signed clip that its page calls made with AI
"""

import functools
import io
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.credentials import Signer
from tests.media import EXAMPLES, RATE, write_video
from tests.servers import Answer, Handler, content, copy_video, html, media, status

CLIP = (EXAMPLES / "blended-face.mp4").read_bytes()
NO_FACE = (EXAMPLES / "no-face.mp4").read_bytes()
FACE = (EXAMPLES / "blended-face.jpg").read_bytes()
STYLE = "<style>body { margin: 24px; font-family: sans-serif } video { display: block; width: 640px }</style>"

SHADOW = """<div id=player></div><script>
const root = player.attachShadow({ mode: "closed" });
root.innerHTML = "<video muted src='/clip.mp4' style='width: 640px'></video>";
</script>"""
LATER = """<div id=place></div><script>
setTimeout(() => { place.innerHTML = "<video muted src='/clip.mp4' style='width: 640px'></video>"; }, 1000);
</script>"""
STREAM = """<video id=player controls muted></video><script>
const source = new MediaSource();
player.src = URL.createObjectURL(source);
source.onsourceopen = async () => {
  const buffer = source.addSourceBuffer('video/mp4; codecs="CODEC"');
  buffer.onupdateend = () => source.readyState === "open" && source.endOfStream();
  buffer.appendBuffer(await (await fetch("/fragmented.mp4")).arrayBuffer());
};
</script>"""
LIVE = """<video id=player muted autoplay></video><script>
const picture = new Image();
picture.onload = () => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  setInterval(() => pen.drawImage(picture, 2 * Math.sin(Date.now() / 300), 0), 40);
  pen.drawImage(picture, 0, 0);
  player.srcObject = canvas.captureStream(25);
};
picture.src = "/face.jpg";
</script>"""
IN_PLACE = '<button onclick=\'history.pushState({}, "", "/other")\'>Next</button>'


LABEL = """<script type="application/ld+json">{"@type": "VideoObject",
"digitalSourceType": "https://schema.org/TrainedAlgorithmicMediaDigitalSource"}</script>"""


def player(src: str) -> str:
    return f"{STYLE}<video controls muted src='{src}'></video>"


def pictures(clip: bytes) -> list[np.ndarray]:
    """Decode a clip -> uint8 (H, W, 3) RGB each."""
    with av.open(io.BytesIO(clip)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def encoded(shown: Iterable[np.ndarray], **options: Any) -> bytes:
    """Encode an MP4; `options`: those of `write_video`."""
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder, "made.mp4"), map(np.ascontiguousarray, shown), **options)
        return Path(folder, "made.mp4").read_bytes()


@functools.cache
def brief() -> bytes:
    """Make the first two seconds of the clip, for what takes long."""
    return encoded(pictures(CLIP)[: 2 * RATE])


@functools.cache
def black() -> bytes:
    """Make a video of two seconds in which there is nothing to see."""
    return encoded(np.zeros((240, 320, 3), np.uint8) for _ in range(2 * RATE))


@functools.cache
def signed() -> bytes:
    """Sign the clip as made with AI, and once more as edited."""
    signer = Signer()
    first = signer.sign(CLIP, "trainedAlgorithmicMedia")
    return signer.sign(first, edits=first)


def pages(foreign: str, release: threading.Event) -> dict[str, Answer]:
    """Make the routes of the site. `foreign`: address of a clip on another origin."""
    fragmented, codec = fragment(CLIP)
    strict = {"Content-Security-Policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'"}
    plain = player("/clip.mp4")
    return {
        "/clip.mp4": media(CLIP),
        "/no-face.mp4": media(NO_FACE),
        "/fragmented.mp4": media(fragmented),
        "/black.mp4": members(media(black())),
        "/held.mp4": held(media(CLIP), release),
        "/face.jpg": content(FACE, "image/jpeg"),
        "/signed-clip.mp4": lambda handler: media(signed())(handler),
        "/plain": html(plain, "A speech"),
        "/labelled": html(LABEL + player("/signed-clip.mp4"), "A speech"),
        "/frame": html("<iframe src='/plain' width=720 height=560></iframe>", "A frame"),
        "/two": html(player("/no-face.mp4") + player("/clip.mp4"), "Two videos"),
        "/in-place": html(plain + IN_PLACE, "In place"),
        "/nothing": html("<p>Only words.</p>", "Words"),
        "/shadow": html(STYLE + SHADOW, "In the shadow"),
        "/later": html(STYLE + LATER, "Later"),
        "/held": html(player("/held.mp4"), "A slow site"),
        "/stream": html(STYLE + STREAM.replace("CODEC", codec), "A stream"),
        "/tainted": html(player(foreign), "Another origin"),
        "/tainted-frame": html("<iframe src='/tainted' width=720 height=560></iframe>", "In a frame"),
        "/live": html(STYLE + LIVE, "Live"),
        "/black": html(player("/black.mp4"), "Black"),
        "/strict": lambda handler: handler.give(
            f"<!doctype html><title>Strict</title>{plain}".encode(), "text/html", headers=strict
        ),
    }


def members(answer: Answer) -> Answer:
    """Serve a video to browsers, which send Sec-Fetch-Dest; others have to sign in."""
    refused = status(401, {"WWW-Authenticate": 'Basic realm="members"'})
    return lambda handler: (answer if "Sec-Fetch-Dest" in handler.headers else refused)(handler)


def held(answer: Answer, release: threading.Event) -> Answer:
    """Serve a video to browsers at once, to others when it is released."""

    def hold(handler: Handler) -> None:
        leaving = handler.server.site.leaving
        while "Sec-Fetch-Dest" not in handler.headers and not (release.is_set() or leaving.wait(0.05)):
            pass
        answer(handler)

    return hold


@functools.cache
def fragment(clip: bytes, **options: str) -> tuple[bytes, str]:
    """Pack the same pictures for MediaSource -> (bytes, codec). `options`: of the muxer, as to encrypt them."""
    packed = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof", **options}
    with av.open(io.BytesIO(clip), "r") as source, av.open(packed, "w", format="mp4", options=flags) as sink:
        codec = f"avc1.{copy_video(source, sink).codec_context.extradata[1:4].hex()}"
    return packed.getvalue(), codec
