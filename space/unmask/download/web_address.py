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
REPAIRS = tuple(  # of an address: copied out of HTML or JSON, made harmless, or typed; what stands for what
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        (r"&(?:amp|lt|gt|quot|#39);", lambda found: unescape(found[0])),
        (r"\\u0026", "&"),
        (r"\\/", "/"),
        (r"(?<=\w)\[\.\](?=\w)", "."),
        (r"(?<![\w/=%])(?:h?tt|hxx)p(s?)\s?(?:[:;：]\s?/{1,2}|//)(?=[\w\[])", r"http\1://"),
        (r"https?://(?=https?://)", ""),
        (r"(?<![\w/:.])//(?=(?:[\w-]+\.)+[a-z]{2,}/)", "https://"),
        (r"^(?:view-source|link|src|url)\s*[:=]\s*(?=https?://)", ""),
    )
)
NO_ADDRESS = r"""\s<>"“”„«»‹›‘’`，。、！？；：「」『』【】《》（）＜＞؟،؛।"""  # is never in one
ON_A_COMPUTER = re.compile(r"file:|[a-z]:[\\/](?!/)|~?/\w", re.IGNORECASE)
EMOJI = "\U0001f000-\U0001faff\u2600-\u27bf\ufe0f"  # is never its end
IN_WORDS = re.compile(
    rf"(?:https?://|(?<![\w@./-])(?:www\.|(?:[\w-]+\.)+[a-z]{{2,}}/))(?:(?!\[/)[^{NO_ADDRESS}])*", re.IGNORECASE
)
BREAKS = re.compile(f"[{NO_ADDRESS}*]|[{EMOJI}]$")  # what is more than an address has one
OF_THE_APP = re.compile(r"https?://(?:www\.tiktok\.com/tiktoklite|pic\.(?:twitter|x)\.com/)")  # beside the video's
CLOSING = ".,;:!?'}*…"  # after an address in a sentence
NEVER_LAST = ",;…"  # of an address
BRACKETS = {")": "(", "]": "[", "}": "{"}
BARE_ADDRESS = re.compile(r"www\.\S+|[\w-]+(\.[\w-]+)*(\.[a-z]{2,}|:\d+)/\S*", re.IGNORECASE)


def find_address(text: str) -> str:
    """Find the one web address in what somebody pasted: an app's "copy link", words around it, quotes, no scheme.

    Raises:
        BadUrl: There are several, or one that means something only on the computer or in the tab that it is from.
    """
    text = text.translate(INVISIBLE).strip()
    for pattern, instead in REPAIRS:
        text = pattern.sub(instead, text)
    if text.strip("<\"'(").lower().startswith("blob:"):
        raise BadUrl(
            "An address that starts with blob: means something only in the tab that it was copied from. "
            "Copy the address of the page instead, or save the video and upload it."
        )
    if ON_A_COMPUTER.match(text):
        raise BadUrl("That is the place of a file on a computer, not an address on the web. Upload the file itself.")
    if SCHEME.match(text) and not BREAKS.search(text):
        return _without_closing(text, NEVER_LAST)
    found: dict[str, str] = {}
    for address in IN_WORDS.findall(text):
        address = _without_closing(address)
        address = address if SCHEME.match(address) else f"https://{address}"
        found.setdefault(canonical_url(address), address)
    videos = [address for address in found.values() if not OF_THE_APP.match(address)] or list(found.values())
    if len(videos) > 1:
        raise BadUrl("This text holds several addresses. Paste only that of the video.")
    return videos[0] if videos else text


def _without_closing(address: str, closing: str = CLOSING) -> str:
    """Cut off what closes a sentence, emoji behind it, and from a bracket on that was opened before the address."""
    for place, character in enumerate(address):
        if character in BRACKETS and address.count(character, 0, place) >= address.count(BRACKETS[character], 0, place):
            address = address[:place]
            break
    return re.sub(f"[{re.escape(closing)}{EMOJI}]+$", "", address)


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
