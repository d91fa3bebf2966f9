"""Find how a site labels its own video, in the data of the page: made with AI, altered, or recorded. Pure.

A row a site, for pages of one video; other pages may say it in the terms of schema.org.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

AI_HELP = "support.google.com/youtube/answer/15447836"  # linked by the label in every language
MADE_SECTION = re.compile(r'"howThisWasMadeSectionViewModel":\{(.{0,4000})', re.DOTALL)
SECTION_HEADER = re.compile(r'"bodyHeader":\{"content":"([^"\\]{1,80})"')
TIKTOK_DATA = 'id="__UNIVERSAL_DATA_FOR_REHYDRATION__"'
TIKTOK_LABELS = {"1": "Creator labeled as AI-generated", "2": "AI-generated"}
LINKED_DATA = "application/ld+json"
SOURCE_TYPES = {  # of IPTC; with another spelling of schema.org/IPTCDigitalSourceEnumeration
    "trainedAlgorithmicMedia": "made with AI",
    "compositeWithTrainedAlgorithmicMedia": "partly made with AI",
    "algorithmicMedia": "made with software",
    "digitalCapture": "recorded with a camera",
}
MAX_VALUES = 20_000  # of a page's data that are looked through


def find_label(url: str, page: str) -> tuple[str, str] | None:
    """Find (name of the site, label) in the page of one video; None: it says nothing."""
    host = urlsplit(url).hostname or ""
    for domain, name, read in SITES:
        if host == domain or host.endswith(f".{domain}"):
            label = read(page)
            return (name, label) if label else None
    label = _linked_data(page)
    return (host, label) if label else None


def _youtube(page: str) -> str | None:
    for section in MADE_SECTION.finditer(page):
        if AI_HELP in section[1].replace("\\/", "/"):
            header = SECTION_HEADER.search(section[1])
            return header[1] if header else "Altered or synthetic content"
    return None


def _tiktok(page: str) -> str | None:
    for data in _parsed(TIKTOK_DATA, page):
        with suppress(KeyError, TypeError, AttributeError):
            item = data["__DEFAULT_SCOPE__"]["webapp.video-detail"]["itemInfo"]["itemStruct"]
            return TIKTOK_LABELS.get(str(item.get("aigcLabelType")))
    return None


def _linked_data(page: str) -> str | None:
    videos = [
        node
        for data in _parsed(LINKED_DATA, page)
        for node in _nodes(data)
        if node.get("@type") in ("VideoObject", ["VideoObject"])
    ]
    if len(videos) != 1:  # else it is not known of which it speaks
        return None
    name = str(videos[0].get("digitalSourceType")).rpartition("/")[2].removesuffix("DigitalSource")
    return SOURCE_TYPES.get(f"{name[:1].lower()}{name[1:]}")


def _parsed(attribute: str, page: str) -> Iterator[Any]:
    """Yield what scripts with an attribute hold, if that is JSON; a page is read once, whatever it holds."""
    begin = end = 0
    while (begin := page.find("<script", end)) >= 0 and (start := page.find(">", begin)) >= 0:
        end = page.find("</script", start)
        if end < 0:
            return
        if attribute in page[begin:start]:
            with suppress(ValueError, RecursionError):
                yield json.loads(page[start + 1 : end])


def _nodes(data: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in parsed JSON."""
    waiting, left = [data], MAX_VALUES
    while waiting and left:
        value, left = waiting.pop(), left - 1
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


SITES: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (  # domain, name, rule
    ("youtube.com", "YouTube", _youtube),
    ("tiktok.com", "TikTok", _tiktok),
)
