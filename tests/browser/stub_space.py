"""A Space that answers at once, with the label of the example that the pictures show: for tests of what is asked.

with StubSpace() as space:
    space.asked     # ["frames", "https://…"]: captured pictures, or the address that was submitted
"""

import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.media import EXAMPLES
from tests.servers import Handler, Site

LABELS = {"blended-face": "fake", "photograph": "real", "no-face": "no_face"}
REPORT = json.loads((Path(__file__).resolve().parents[1] / "assets" / "report.json").read_text(encoding="utf-8"))
RATE = 25
CLIP_SECONDS = 4.0  # of every example
SIDE_PX = 64


def looks() -> dict[str, list[np.ndarray]]:
    """Return the pictures of each example, small and grey: two of them differ in the face only."""
    found = {}
    for name in LABELS:
        with av.open(str(EXAMPLES / f"{name}.mp4")) as container:
            found[name] = [_small(frame.to_image()) for frame in container.decode(video=0)]
    return found


def _small(image: Any) -> np.ndarray:
    return np.asarray(image.convert("L").resize((SIDE_PX, SIDE_PX)), float)


class StubSpace:
    """The endpoints that the extension calls."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.of_address = "blended-face"  # what lies behind any address that is submitted
        self.choices: list[dict[str, Any]] = []  # of videos, at any address but theirs
        self.seconds: list[float] = []  # of the pictures that came last
        self.drops = 0  # so many requests for a check lose their connection
        self.asking = 0  # requests for a check so far
        self.is_free = threading.Event()  # clear: it takes requests and says nothing
        self.is_free.set()
        self.answers: dict[str, Any] = {}
        self._looks = looks()
        self._site = Site(otherwise=self._respond)
        self.url = self._site.url("")

    def __enter__(self) -> "StubSpace":
        self._site.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._site.__exit__()

    def _respond(self, handler: Handler) -> None:
        name = handler.path.rpartition("/")[2]
        if handler.command == "GET":
            event = f"event: complete\ndata: {json.dumps([self.answers[name]])}\n\n"
            return handler.give(event.encode(), "text/event-stream")
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.asking += "check" in handler.path or "submit" in handler.path
        self.is_free.wait(60)
        if "check" in handler.path and self.drops > 0:
            self.drops -= 1
            handler.close_connection = True
            return None
        event_id = str(len(self.answers))
        self.answers[event_id] = self.answer(name, body["data"])
        return handler.give(json.dumps({"event_id": event_id}).encode(), "application/json")

    def answer(self, endpoint: str, data: list[Any]) -> Any:
        if endpoint == "models":
            return [{"name": "stub", "revision": "1"}]
        if endpoint == "check_frames":
            frames, page_url = data[0], data[1]
            self.asked.append("frames")
            self.seconds = [one["seconds"] for one in frames]
            return self.report(self.recognise(frames[len(frames) // 2]), "frames", page_url)
        self.asked.append(data[0])
        if self.choices and data[0] not in [choice["url"] for choice in self.choices]:
            error = {"code": "unsupported_site", "message": "Several.", "choices": self.choices}
            return {"job": None, "report": {"schema": REPORT["schema"], "status": "failed", "error": error}}
        return {"job": None, "report": self.report(self.of_address, "url", data[0])}

    def recognise(self, frame: dict[str, Any]) -> str:
        picture = _small(Image.open(io.BytesIO(base64.b64decode(frame["jpeg"]))))
        near = round(frame["seconds"] * RATE)

        def difference(name: str) -> float:
            looks = self._looks[name][max(0, near - 2) : near + 3] or self._looks[name]  # a call goes on
            return min(float(np.abs(look - picture).mean()) for look in looks)

        return min(self._looks, key=difference)

    def report(self, name: str, kind: str, url: str) -> dict[str, Any]:
        label = LABELS[name]
        chance = {"fake": 0.995, "real": 0.02, "no_face": None}[label]
        size = {"duration_seconds": CLIP_SECONDS, "width": 480, "height": 360}
        source = REPORT["source"] | {"kind": kind, "url": url, "title": name} | size
        verdict = REPORT["verdict"] | {"label": label, "probability_fake": chance}
        models = [{"name": "stub", "revision": "1", "probability_fake": chance}]
        return REPORT | {"source": source, "verdict": verdict, "models": models}
