"""Find the web address in pasted text, and bring addresses of one video to one form."""

import json
import re
from fnmatch import fnmatchcase
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from unmask.errors import BadUrl

DEFAULT_PORTS = {"http": 80, "https": 443}
# query parameters that tell who shared a link, not what it is; `*` stands for any ending; the extension has the same
TRACKING = tuple(json.loads(Path(__file__).with_name("tracking_parameters.json").read_text(encoding="utf-8")))
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
INVISIBLE = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)
IN_WORDS = re.compile(
    r"""https?://[^\s<>"“”«»„`，。「」【】]+|(?<![\w@./-])(?:www\.|(?:[\w-]+\.)+[a-z]{2,}/)[^\s<>"“”«»„`，。「」【】]*""",
    re.IGNORECASE,
)
ESCAPED = re.compile(r"&(?:amp|lt|gt|quot|#39);")  # of an address that was copied out of HTML
CLOSING = ".,;:!?'’›]}*…" + "。，、！？；：」』】）"  # after an address in a sentence
NEVER_LAST = ",;›»”’"  # of an address
BARE_ADDRESS = re.compile(r"www\.\S+|[\w-]+(\.[\w-]+)*(\.[a-z]{2,}|:\d+)/\S*", re.IGNORECASE)


def find_address(text: str) -> str:
    """Find the one web address in what somebody pasted: an app's "copy link", words around it, quotes, no scheme.

    Raises:
        BadUrl: There are several, or one that means something only in the tab that it was copied from.
    """
    text = ESCAPED.sub(lambda found: unescape(found[0]), text.translate(INVISIBLE)).strip()
    text = re.sub(r"(?i)https?://(?=https?://)", "", text)
    if text.strip("<\"'(").lower().startswith("blob:"):
        raise BadUrl(
            "An address that starts with blob: means something only in the tab that it was copied from. "
            "Copy the address of the page instead, or save the video and upload it."
        )
    if SCHEME.match(text) and not re.search(r"[\s`*<>，。」）]", text):
        return _without_closing(text.removeprefix("view-source:"), NEVER_LAST)
    found = dict.fromkeys(map(_without_closing, IN_WORDS.findall(text)))
    if len(found) > 1:
        raise BadUrl("This text holds several addresses. Paste only that of the video.")
    address = next(iter(found), text)
    return address if SCHEME.match(address) or not found else f"https://{address}"


def _without_closing(address: str, closing: str = CLOSING) -> str:
    """Cut off what closes a sentence, or a bracket around the address."""
    while address.endswith(tuple(closing)) or (address.endswith(")") and address.count(")") > address.count("(")):
        address = address[:-1]
    return address


def canonical_url(url: str) -> str:
    """Normalise a URL: no fragment, no default port, no fields that only say who shared it.

    >>> canonical_url("HTTPS://Example.com:443/watch?v=1&utm_source=mail#t=3")
    'https://example.com/watch?v=1'
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    host = (parts.hostname or "").lower()
    login = parts.netloc.rpartition("@")[0]
    if port is not None and port != DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    fields = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _is_tracking(pair[0])]
    netloc = f"{login}@{host}" if login else host
    return urlunsplit((parts.scheme, netloc, parts.path or "/", urlencode(fields), ""))


def _is_tracking(name: str) -> bool:
    return any(fnmatchcase(name, known) for known in TRACKING)
