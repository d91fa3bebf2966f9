"""The HTML of reports: its words, its accessibility, and that untrusted text stays text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests import reports
from unmask.errors import UnmaskError, UnsupportedSite, VideoChoice
from unmask.render import evidence
from unmask.render import html as document
from unmask.render.terminal import describe_choices, describe_report
from unmask.report import to_failed_report
from unmask.verdict_text import SHOWN_LABEL, percent, sentence

NAMES = ["fake", "real", "uncertain", "no_face", "many", "ensemble", "hostile", "failed"]
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Elements with their attributes, and the text; notes tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.unbalanced += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]


@pytest.fixture(scope="module", params=NAMES)
def page(request) -> Page:
    return Page(document.to_html(reports.example(request.param)))


# Safe and self-contained.


def test_every_tag_is_closed(page):
    assert page.unbalanced == []


def test_nothing_is_loaded_and_nothing_runs(page):
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "form", "base", "video"}
    for tag, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)
        if "src" in attrs:
            assert tag == "img"
            assert (attrs["src"] or "").startswith("data:image/jpeg;base64,")
        if "href" in attrs:
            assert (attrs["href"] or "").startswith(("http://", "https://"))
    assert "@import" not in document.CSS
    assert re.findall(r"url\((?!#)", document.CSS) == []


def test_a_browser_is_told_to_load_nothing(page):
    policies = [attrs for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert (policies[0]["content"] or "").startswith("default-src 'none'; img-src data:;")


def test_untrusted_text_is_shown_as_text():
    page = Page(document.to_html(reports.example("hostile")))
    assert "<script>alert(1)</script>" in page.text
    assert "javascript:alert(1)" in page.text
    assert all(attrs.get("src") != "x" for _, attrs in page.elements)


def with_every_text(value: Any, text: str) -> Any:
    """The same with another text in place of each that is not from a list of ours."""
    if isinstance(value, dict):
        kept = ("label", "state", "kind", "direction", "strength", "status", "thumbnail", "heatmap")
        return {name: item if name in kept else with_every_text(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [with_every_text(item, text) for item in value]
    return text if isinstance(value, str) else value


def test_no_text_steers_a_page_or_a_terminal():
    text = "\x1b[31m\x9b\u202e<script>**[x](javascript:1)**" + "A" * 3000
    report = with_every_text(reports.example("fake"), text)
    for shown in (document.to_html(report), describe_report(report)):
        assert not set(shown) & set("\x1b\x9b\u202e")
        assert "**[x](javascript:1)**" in shown
    assert "<script" not in document.to_html(report)


@pytest.mark.parametrize(
    "picture",
    [
        'data:image/jpeg;base64,AAAA" onerror="alert(1)',
        "data:image/svg+xml;base64,AAAA",
        "data:text/html;base64,AAAA",
        "https://tracker.example/pixel.jpg",
        "javascript:alert(1)",
        "",
        None,
    ],
)
def test_only_jpeg_pictures_pass(picture):
    found = reports.example("real")
    for face in found["faces"]:
        face["thumbnail"] = face["heatmap"] = picture
    assert "<img" not in document.to_html(found)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "http://[broken", "file:///etc/passwd"])
def test_only_web_addresses_become_links(url):
    page = Page(document.details(reports.build(reports.clips([1.0]), url=url)))
    assert url in page.text
    assert not any(tag == "a" for tag, _ in page.elements)


# What a person reads.


@pytest.mark.parametrize("name", ["fake", "real", "uncertain", "no_face"])
def test_the_summary_says_label_probability_and_reasons(name):
    found = reports.example(name)
    text = Page(document.summary(found)).text
    assert SHOWN_LABEL[found["verdict"]["label"]] in text
    assert found["verdict"]["text"] in text
    assert all(sentence(code) in text for code in found["verdict"]["reasons"])
    if name != "no_face":
        assert evidence.grade_text(found["verdict"]["evidence"]) in text
        assert evidence.frequency_text(found["verdict"]["evidence"]) in text
        del found["verdict"]["evidence"]  # as in reports of older versions
        assert percent(found["verdict"]["probability_fake"]) in Page(document.to_html(found)).text


def test_the_zone_of_the_grade_is_marked():
    found = reports.example("uncertain")
    found["verdict"]["evidence"] |= {"direction": "real", "strength": "moderate", "likelihood_ratio": 0.2}
    here = Page(document.summary(found)).with_class("unmask-here")
    assert [(attrs["class"] or "").split()[1:3] for attrs in here] == [["unmask-is-real", "unmask-moderate"]]


def test_the_page_promises_nothing(page):
    words = page.text.lower()
    assert "verified" not in words
    assert "authentic" not in words
    assert "What this cannot tell you" in page.text


@pytest.mark.parametrize("kind", UnmaskError.__subclasses__(), ids=lambda kind: kind.code)
def test_every_failure_has_a_heading(kind):
    failed = to_failed_report({"kind": "url", "name": "https://a.example"}, kind("What to do about <it>."))
    text = Page(document.failure(failed)).text
    assert document.FAILURES[kind.code] in text
    assert "What to do about <it>." in text
    assert kind.code in text


CHOICES = (
    VideoChoice("https://a.example/1?a=1&b=2", "<b>The speech</b>", 61.0),
    VideoChoice("https://a.example/2"),
    VideoChoice("javascript:alert(1)", "No address"),
)


def test_several_videos_are_links_to_choose_from():
    failed = to_failed_report({"kind": "url", "name": "https://a.example"}, UnsupportedSite("Several.", CHOICES))
    page = Page(document.failure(failed))
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links == ["https://a.example/1?a=1&b=2", "https://a.example/2"]
    assert "<b>The speech</b>" in page.text
    assert "1:01" in page.text
    assert describe_choices(CHOICES).splitlines()[:2] == [
        "  1. <b>The speech</b> (1:01): https://a.example/1?a=1&b=2",
        "  2. Video: https://a.example/2",
    ]


# The timeline.


def test_every_moment_is_a_button_that_says_where_to_jump():
    found = reports.example("fake")
    moments = Page(document.timeline_svg(found)).with_class("unmask-moment")
    assert len(moments) == len(found["timeline"])
    assert sorted(float(m["data-seconds"] or "nan") for m in moments) == [
        span["start_seconds"] for span in found["timeline"]
    ]
    assert all(m["tabindex"] == "0" and m["role"] == "button" for m in moments)
    assert moments[0]["aria-label"] == "Face 1 at 0:00: Likely deepfake, 80%"


def test_in_the_file_nothing_pretends_to_be_a_button():
    page = Page(document.to_html(reports.example("fake")))
    assert all(moment["role"] == "img" for moment in page.with_class("unmask-moment"))
    assert not any(tag == "button" for tag, _ in page.elements)


def test_moments_differ_by_more_than_colour():
    html = document.timeline_svg(reports.build(reports.clips([4.0, -4.0, 0.2])))
    fills = re.findall(r'class="unmask-bar[^>]*fill="url\(#unmask-t1-(\w+)\)"', html)
    assert fills == ["fake", "real", "uncertain"]


# Faces.


def test_every_face_has_its_card_with_both_pictures_and_times():
    found = reports.example("fake")
    page = Page(document.face_cards(found))
    pictures = [attrs["src"] for tag, attrs in page.elements if tag == "img"]
    assert pictures == [face[name] for face in found["faces"] for name in ("thumbnail", "heatmap")]
    assert all(attrs["alt"] for tag, attrs in page.elements if tag == "img")
    jumps = [attrs["data-seconds"] for tag, attrs in page.elements if tag == "button"]
    assert str(found["faces"][0]["picture_seconds"]) in jumps
    assert "Face 2: No sign of a deepfake" in page.text
