"""The address in what a person pasted, and the one form of addresses of one video."""

import pytest

from unmask.download.web_address import canonical_url, find_address
from unmask.errors import BadUrl


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://Example.com", "https://example.com/"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("http://example.com:8080/a", "http://example.com:8080/a"),
        ("https://example.com/a?b=1&a=2", "https://example.com/a?b=1&a=2"),  # the order may matter
        ("https://example.com/a?utm_medium=x&v=1&fbclid=2", "https://example.com/a?v=1"),
        ("https://example.com/A#part", "https://example.com/A"),  # the path's case does matter
        ("https://[::1/", "https://[::1/"),  # not a URL: equal to itself alone
    ],
)
def test_canonical_url(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


ADDRESS = "https://videos.example/v?id=1&x=(2)"

PASTED = [
    (ADDRESS, ADDRESS),
    (f"Look at this! {ADDRESS}", ADDRESS),
    (f"My title\n{ADDRESS}\n\nShared from an app.", ADDRESS),
    (f"\u200b{ADDRESS}\ufeff \u2060", ADDRESS),
    (f"\u2068{ADDRESS}\u2069", ADDRESS),
    (f"Look at {ADDRESS}…", ADDRESS),
    (f"<{ADDRESS}>", ADDRESS),
    (f'"{ADDRESS}"', ADDRESS),
    ("(see https://videos.example/v).", "https://videos.example/v"),
    ("[https://videos.example/v]", "https://videos.example/v"),
    ("“https://videos.example/v”,", "https://videos.example/v"),
    (f"{ADDRESS} and again {ADDRESS}", ADDRESS),
    ("www.videos.example/v", "https://www.videos.example/v"),
    ("videos.example/v", "https://videos.example/v"),
    ("watch videos.example/v!", "https://videos.example/v"),
    (f"[A video]({ADDRESS})", ADDRESS),
    (f"`{ADDRESS}`", ADDRESS),
    (f"**{ADDRESS}**", ADDRESS),
    (ADDRESS.replace("&", "&amp;"), ADDRESS),
    (f"&lt;{ADDRESS}&gt;", ADDRESS),
    (f"https://{ADDRESS}", ADDRESS),
    (f'<iframe src="{ADDRESS}" width="5"></iframe>', ADDRESS),
    (f"view-source:{ADDRESS}", ADDRESS),
    (f"看：{ADDRESS}，复制。", ADDRESS),
    (f"{ADDRESS}。", ADDRESS),
    (f"{ADDRESS},", ADDRESS),
    (f"{ADDRESS})", ADDRESS),
    (f"‹{ADDRESS}›", ADDRESS),
    (f"Watch! {ADDRESS} Download the app: https://www.tiktok.com/tiktoklite", ADDRESS),
    (f"{ADDRESS} pic.twitter.com/abc", ADDRESS),
    (f"{ADDRESS}&utm_source=a or {ADDRESS}&utm_source=b", f"{ADDRESS}&utm_source=a"),
    (f"شاهد {ADDRESS}؟", ADDRESS),
    (f"देखो {ADDRESS}।", ADDRESS),
    (f"看这个：{ADDRESS}）很好", ADDRESS),
    (f"{ADDRESS}、{ADDRESS}（笑）", ADDRESS),
    (f"👀{ADDRESS}👀", ADDRESS),
    (f"[url={ADDRESS}]x[/url]", ADDRESS),
    (f"[url]{ADDRESS}[/url]", ADDRESS),
    (f"URL: {ADDRESS}", ADDRESS),
    ("see https://videos.example/v?tags[]=a.", "https://videos.example/v?tags[]=a"),
    (f'"url": "{ADDRESS}",'.replace("/", "\\/").replace("&", "\\u0026"), ADDRESS),
    ("<video src='//videos.example/v'>", "https://videos.example/v"),
    *((spelled + "videos.example/v", "https://videos.example/v") for spelled in ("ttps://", "https:/", "https ://")),
    *((spelled + "videos.example/v", "https://videos.example/v") for spelled in ("https;//", "https：//", "hxxps//")),
    ("https://a.example/web/https://videos.example/v", "https://a.example/web/https://videos.example/v"),
    ("https://videos.example/About_(film)", "https://videos.example/About_(film)"),
    ("no address at all", "no address at all"),  # refused later
    ("ftp://videos.example/v", "ftp://videos.example/v"),
]


@pytest.mark.parametrize(("text", "address"), PASTED)
def test_the_one_address_of_what_was_pasted_is_taken(text: str, address: str) -> None:
    assert find_address(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blob:https://videos.example/0b6f", "address of the page"),
        (' "blob:https://videos.example/0b6f"', "address of the page"),
        ("file:///home/me/v.mp4", "Upload the file"),
        ("C:\\Users\\me\\v.mp4", "Upload the file"),
        ("https://a.example/1 or https://b.example/2", "several"),
    ],
)
def test_what_is_no_one_address_says_what_to_paste(text: str, words: str) -> None:
    with pytest.raises(BadUrl, match=words):
        find_address(text)
