"""The extension's overlay on a page, read and pressed as a person would.

    overlay = Overlay(page)
    overlay.wait("badge", "Likely deepfake")     # an element of that class whose text holds these words
    overlay.press("badge")

Its shadow root is closed. The DevTools protocol sees into closed shadow roots; pages do not.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

Node = dict[str, Any]
LABELS = ("Likely deepfake", "No sign of a deepfake", "Not sure", "No face found")
LOOK_MS = 100  # each look at a page takes some of the time that it needs itself
STILL_MS = 50
OPEN_UP = "function (root) { Object.defineProperty(this, 'shadowRoot', { value: root, configurable: true }); }"


def shoot(shown: Any, name: str) -> None:
    """Keep a picture of a page, popup or browser in the folder that `UNMASK_SCREENSHOTS` names, for a look."""
    if folder := os.environ.get("UNMASK_SCREENSHOTS"):
        Path(folder, f"{name}.png").write_bytes(shown.screenshot())


class Overlay:
    def __init__(self, page: Page, patience_seconds: float = 240.0) -> None:
        self._page = page
        self._patience_seconds = patience_seconds
        self._devtools = page.context.new_cdp_session(page)

    def find(self, css_class: str, *texts: str) -> list[Node]:
        """Find visible elements of a class that hold one of the texts, in document order."""
        own = [node for _, root in self._roots() if not _is_away(root) for node in walk(root)]
        return [
            node
            for node in own
            if css_class in attributes(node).get("class", "").split()
            and any(text in text_of(node) for text in texts or ("",))
            and self._box(node)
        ]

    def wait(self, css_class: str, *texts: str) -> Node:
        """Wait for an element with one of the texts."""
        deadline = time.monotonic() + self._patience_seconds
        while time.monotonic() < deadline:
            if found := self.find(css_class, *texts):
                return found[0]
            self._page.wait_for_timeout(LOOK_MS)
        shown = [text_of(node) for node in self.find("root")]
        raise AssertionError(f"no {css_class!r} with {texts}; shown: {shown}")

    def answer(self) -> str:
        """Wait for the label of the report, without which way it leans."""
        return text_of(self.wait("badge", *LABELS)).partition(" · ")[0].strip()

    def wait_gone(self) -> None:
        self.until(lambda: not self.find("root"), "the badge is still there")

    def until(self, happened: Callable[[], bool], failure: str) -> None:
        """Wait until something has happened."""
        deadline = time.monotonic() + self._patience_seconds
        while not happened():
            assert time.monotonic() < deadline, failure
            self._page.wait_for_timeout(LOOK_MS)

    def press(self, css_class: str, text: str = "") -> None:
        node = self.wait(css_class, text)
        self._devtools.send("DOM.scrollIntoViewIfNeeded", {"nodeId": node["nodeId"]})
        before, place = None, self.centre(node)
        while place != before:  # a page that loads still moves it, perhaps away from under the pointer
            self._page.wait_for_timeout(STILL_MS)
            before, place = place, self.centre(node)
        self._page.mouse.click(*place)  # no person presses more briefly

    def centre(self, node: Node) -> tuple[float, float]:
        """Find the centre of an element, px in the window."""
        left, top, _, _, right, bottom, _, _ = self._box(node)
        return (left + right) / 2, (top + bottom) / 2

    def box(self, css_class: str) -> tuple[float, float, float, float]:
        """Find left, top, right, bottom of the first visible element of a class, px in the window."""
        left, top, _, _, right, bottom, _, _ = self._box(self.wait(css_class))
        return left, top, right, bottom

    def open_up(self) -> None:
        """Open the closed shadow root to scripts of the page, such as axe."""
        for host, root in self._roots():
            objects = [
                self._devtools.send("DOM.resolveNode", {"nodeId": node["nodeId"]})["object"]["objectId"]
                for node in (host, root)
            ]
            call = {"functionDeclaration": OPEN_UP, "arguments": [{"objectId": objects[1]}]}
            self._devtools.send("Runtime.callFunctionOn", {"objectId": objects[0], **call})

    def _roots(self) -> list[tuple[Node, Node]]:
        """Find (host, shadow root) of everything that the extension drew."""
        document = self._devtools.send("DOM.getDocument", {"depth": -1, "pierce": True})["root"]
        return [(node, root) for node in walk(document) for root in node.get("shadowRoots", ()) if _is_ours(root)]

    def _box(self, node: Node) -> list[float]:
        """Find the corners in the window; empty when it is not drawn."""
        try:
            box = self._devtools.send("DOM.getBoxModel", {"nodeId": node["nodeId"]})
        except Exception as error:
            if "Could not compute box model" in str(error) or "Could not find node" in str(error):
                return []
            raise
        corners: list[float] = box["model"]["border"]
        return corners


def walk(node: Node) -> Iterator[Node]:
    yield node
    for part in (*node.get("children", ()), *node.get("shadowRoots", ())):
        yield from walk(part)
    if "contentDocument" in node:
        yield from walk(node["contentDocument"])


def attributes(node: Node) -> dict[str, str]:
    pairs = node.get("attributes", [])
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def text_of(node: Node) -> str:
    return " ".join(part["nodeValue"] for part in walk(node) if part["nodeType"] == 3 and part["nodeValue"])


def _is_away(root: Node) -> bool:
    """Tell whether it is hidden because its video is not to be seen."""
    return any("away" in attributes(node).get("class", "").split() for node in root["children"])


def _is_ours(root: Node) -> bool:
    return root.get("shadowRootType") == "closed" and any(
        "page/overlay.css" in attributes(node).get("href", "") for node in root["children"]
    )
