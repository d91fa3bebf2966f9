"""A page of one video -> how its site labels it."""

import json
import time

import pytest

from tests import servers
from tests.servers import Site, content
from unmask.download.site_labels import find_label
from unmask.download.sources import UrlSource, open_media
from unmask.download.ytdlp_session import PASSWORD_FIELD
from unmask.limits import Limits
from unmask.progress import ignore_progress
from unmask.video.sampling import DecodePlan

WATCH = "https://www.youtube.com/watch?v=abc"
LABEL = {
    "bodyHeader": {"content": "Altered or synthetic content"},
    "bodyText": {"url": "https://support.google.com/youtube/answer/15447836"},
}
DUBBED = {
    "bodyHeader": {"content": "Auto-dubbed"},
    "bodyText": {"url": "https://support.google.com/youtube/answer/15569972"},
}


def youtube(section: object) -> str:
    data = {"panels": [{"howThisWasMadeSectionViewModel": section}]}
    return f"<script>var ytInitialData = {json.dumps(data, separators=(',', ':'))};</script>"


def tiktok(label: object) -> str:
    item = {"id": "7", "aigcLabelType": label}
    data = {"__DEFAULT_SCOPE__": {"webapp.video-detail": {"itemInfo": {"itemStruct": item}}}}
    return f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" type="application/json">{json.dumps(data)}</script>'


def linked(*types: str, kind: object = "VideoObject") -> str:
    videos = [{"@type": kind, "digitalSourceType": f"https://schema.org/{name}"} for name in types]
    return f'<script type="application/ld+json">{json.dumps({"@graph": videos})}</script>'


AI = "TrainedAlgorithmicMediaDigitalSource"


@pytest.mark.parametrize(
    ("url", "page", "found"),
    [
        (WATCH, youtube(LABEL), ("YouTube", "Altered or synthetic content")),
        (WATCH, youtube({**LABEL, "bodyHeader": {}}), ("YouTube", "Altered or synthetic content")),
        (WATCH, youtube(DUBBED), None),
        (WATCH, "<p>howThisWasMadeSectionViewModel support.google.com/youtube/answer/15447836</p>", None),
        ("https://www.tiktok.com/@a/video/7", tiktok("1"), ("TikTok", "Creator labeled as AI-generated")),
        ("https://www.tiktok.com/@a/video/7", tiktok(2), ("TikTok", "AI-generated")),
        ("https://www.tiktok.com/@a/video/7", tiktok("0"), None),
        ("https://nottiktok.com/@a/video/7", tiktok("1"), None),
        ("https://news.example/clip", linked(AI), ("news.example", "made with AI")),
        ("https://news.example/clip", linked("trainedAlgorithmicMedia"), ("news.example", "made with AI")),
        ("https://news.example/clip", linked(AI, kind=["VideoObject"]), ("news.example", "made with AI")),
        ("https://news.example/clip", linked(AI, AI), None),
        ("https://news.example/clip", linked("constructor"), None),
        ("https://www.tiktok.com/@a/video/7", tiktok("1").replace('{"id": "7", "aigcLabelType": "1"}', '"x"'), None),
        ("https://news.example/clip", '<script type="application/ld+json">{"@type": [</script>', None),
    ],
)
def test_labels(url, page, found):
    assert find_label(url, page) == found


@pytest.mark.parametrize("host", ["news.example", "www.youtube.com", "www.tiktok.com"])
def test_a_page_of_markup_that_never_ends_takes_a_moment(host):
    data = '<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" application/ld+json "howThisWasMadeSectionViewModel":{'
    started = time.process_time()
    for unit in (data, f"{data}>", f"{data}></script>", '<input type="', "<script "):
        page = unit * (2**20 // len(unit))
        assert find_label(f"https://{host}/", page) is None
        assert PASSWORD_FIELD.search(page.encode()) is None
    assert time.process_time() - started < 5


def test_the_label_of_a_page_comes_with_its_video(media, tmp_path):
    clip = media("h264.mp4").read_bytes()
    page = f'<html><body><video src="/clip.mp4"></video>{linked(AI)}</body></html>'
    with Site({"/page": content(page.encode(), "text/html"), "/clip.mp4": servers.media(clip)}) as site:
        plan = DecodePlan(windows=1, frames_per_window=2)
        source = UrlSource(site.url("/page"))
        with open_media(source, tmp_path, Limits(allow_private=True), plan, ignore_progress) as found:
            assert found.statements.site == {"name": "127.0.0.1", "label": "made with AI"}
