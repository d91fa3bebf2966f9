"""Ways past the address check, each tried against a real server that must get no request.

127.0.0.2 stands in for the public internet and 127.0.0.1 and ::1, at the same port, for the machine's own
services: the canary. Names are looked up in a table. Everything else is the real fetch.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.media import fetched
from tests.servers import (
    DASH,
    HLS,
    Answer,
    Server,
    Site,
    content,
    html,
    media,
    media_playlist,
    redirect,
    split_hls,
)
from unmask import errors
from unmask.download import client
from unmask.limits import Limits
from unmask.sandbox import address_policy
from unmask.video.sampling import Span

SECRET = "canary-7531-sings"  # in everything that the canary answers
PUBLIC = "127.0.0.2"
LIMITS = Limits(timeout_seconds=90.0)

pytestmark = pytest.mark.timeout(600)  # more than a hundred fetches, before the first test

# How names resolve in the download worker: all answers, in order. A list of lists: the answers change.
NAMES: dict[str, list[list[str]]] = {
    "inside.example": [["127.0.0.1"]],
    "inside6.example": [["::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "zero.example": [["0.0.0.0"]],
    "zero6.example": [["::"]],
    "cloud.example": [["169.254.169.254"]],
    "nat64.example": [["64:ff9b::7f00:1"]],
    "sixtofour.example": [["2002:7f00:1::"]],
    "broadcast.example": [["255.255.255.255"]],
    "127.0.0.1.wildcard.example": [["127.0.0.1"]],
    "rebinds.example": [[PUBLIC], ["127.0.0.1"]],
    "rebinds-late.example": [[PUBLIC], [PUBLIC], ["127.0.0.1"]],
    "private-second.example": [["127.0.0.3", "127.0.0.1"]],  # the first does not listen
    "public.example": [[PUBLIC]],
}

# Code of the download worker under test.
STAND_IN = f"""
import socket, sys; sys.path[:] = sys.argv[1:]
from unmask.sandbox import address_policy
from unmask.download import worker
names, really_public, really_look_up, asked = {NAMES!r}, address_policy.is_public, socket.getaddrinfo, dict()

def look_up(host, port, *args, **kwargs):
    if host not in names:
        return really_look_up(host, port, *args, **kwargs)
    answers = names[host]
    time = asked[host] = asked.get(host, -1) + 1
    chosen = answers[min(time, len(answers) - 1)]
    return [found for address in chosen for found in really_look_up(address, port, *args, **kwargs)]

public = ("{PUBLIC}", "127.0.0.3")
address_policy.is_public = lambda address: str(address) in public or really_public(address)
address_policy.WEB_PORTS = range(1, 65536)
socket.getaddrinfo = look_up
options = worker._options
worker._options = lambda *args: options(*args) | {{"allowed_extractors": ["generic", "html5"]}}
worker.main()
"""

SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1",
    "017700000001", "0177.0.0.0x1", "127.0.0.1.", "127.255.255.254",
    "１２７.0.0.1", "127。0。0。1", "①②⑦.⓪.⓪.①",
    "0", "0x0", "0.0.0.0", "255.255.255.255", "10.0.0.1", "169.254.169.254", "0xa9fea9fe", "100.100.100.200",
    "[::1]", "[::]", "[0000:0:0:0:0:0:0:0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "[fe80::1%25lo]", "[::1%25lo]", "[fd00:ec2::254]", "[fec0::1]",
    "localhost", "LOCALHOST", "localhost.", "ⓛocalhost", "a.localhost", "ip6-localhost",
    "metadata.google.internal", "printer.local", "router",
]  # fmt: skip

# bad_url: no address at all, or one that two programs may read differently
MALFORMED = [
    "http://user@{canary}/v.mp4", "http://{public}@{canary}/v.mp4", "http://{public}:80@{canary}/v.mp4",
    "http://{public}\\@{canary}/v.mp4", "http://{canary}\\.{public}/v.mp4", "http:\\\\{canary}\\v.mp4",
    "http://{canary}%00.example/v.mp4", "http://%31%32%37.0.0.1/v.mp4", "http:{canary}/v.mp4",
    "http:///{canary}/v.mp4", "http://{canary} .example/v.mp4", "http://{canary}\t/v.mp4",
    "http://{public}/\r\nHost:{canary}", "http://[{canary}]/v.mp4", "http://[::1/v.mp4",
    "http://127.0.0.1.5/v.mp4", "http://256.0.0.1/v.mp4", "http://0x7f000001ff/v.mp4",
    "file:///etc/passwd", "ftp://{canary}/v.mp4", "gopher://{canary}/v.mp4", "data:video/mp4;base64,AAAA",
    "rtmp://{canary}/v", "ws://{canary}/v", "ytsearch:{canary}", "//{canary}/v.mp4",
    "http://{public}/v#__youtubedl_smuggle=%7B%22http_headers%22%3A%7B%22Host%22%3A%22x%22%7D%7D",
]  # fmt: skip

REDIRECTS = {  # name -> where the public page sends us
    "to an address": "http://{canary}/v.mp4",
    "to a number": "http://2130706433:{port}/v.mp4",
    "to hexadecimal": "http://0x7f000001:{port}/v.mp4",
    "to octal": "http://0177.0.0.1:{port}/v.mp4",
    "to a short form": "http://127.1:{port}/v.mp4",
    "to localhost": "http://localhost:{port}/v.mp4",
    "to IPv6": "http://[::1]:{port}/v.mp4",
    "to mapped IPv6": "http://[::ffff:127.0.0.1]:{port}/v.mp4",
    "to all addresses": "http://0.0.0.0:{port}/v.mp4",
    "to a user at an address": "http://{public}@{canary}/v.mp4",
    "without a scheme": "//{canary}/v.mp4",
    "over TLS": "https://{canary}/v.mp4",
    "to a name": "http://inside.example:{port}/v.mp4",
    "to a cloud's keys": "http://169.254.169.254/latest/meta-data/",
    "to a file": "file:///etc/passwd",
    "to ftp": "ftp://{canary}/v.mp4",
    "to gopher": "gopher://{canary}/_GET",
}

PAGES = {  # name -> HTML around an address
    "video tag": "<video src='{0}'></video>",
    "source tag": "<video><source src='{0}' type='video/mp4'></video>",
    "open graph": '<meta property="og:video" content="{0}">',
    "open graph, secure": '<meta property="og:video:secure_url" content="{0}"><meta property="og:video" '
    'content="{0}?2">',
    "twitter player": '<meta name="twitter:player:stream" content="{0}">',
    "JSON-LD": '<script type=\'application/ld+json\'>{{"@context": "https://schema.org", '
    '"@type": "VideoObject", "name": "x", "contentUrl": "{0}"}}</script>',
    "player set-up": '<script>jwplayer(\'x\').setup({{"file": "{0}"}});</script>',
    "refresh": '<meta http-equiv="refresh" content="0; url={0}">',
}


@dataclass(frozen=True)
class Attempt:
    """One link, and how its fetch ended."""

    error: errors.UnmaskError | None
    left: tuple[str, ...]  # files


class CountingServer(Server):
    """Knows of every connection, also of one on which nothing is said."""

    def get_request(self) -> Any:
        accepted = super().get_request()
        self.site.requests.append(("connection", str(accepted[1])))
        return accepted


class SixServer(CountingServer):
    address_family = socket.AF_INET6


def traps(clip: bytes, canary: str) -> dict[str, dict[str, Answer]]:
    """Public pages that lead inside: name -> answers by path under the page, which itself is ""."""
    port = canary.rpartition(":")[2]
    inside = f"http://{canary}/v.mp4"
    fill = {"canary": canary, "port": port, "public": f"{PUBLIC}:{port}"}
    found = {f"redirect {name}": {"": redirect(to.format(**fill))} for name, to in REDIRECTS.items()}
    for code in (301, 303, 307, 308):
        found[f"redirect {code}"] = {"": redirect(inside, code)}
    found["five redirects"] = {
        "": redirect("1"), **{str(i): redirect(str(i + 1)) for i in range(1, 5)}, "5": redirect(inside)
    }  # fmt: skip
    refresh = {"Refresh": f"0; url={inside}"}
    found["refresh header"] = {"": lambda handler: handler.give(b"<p>", "text/html", headers=refresh)}
    found |= {f"page: {name}": {"": html(code.format(inside))} for name, code in PAGES.items()}
    found["feed"] = {
        "": content(
            f"<?xml version='1.0'?><rss version='2.0'><channel><title>x</title><item><title>x</title>"
            f"<enclosure url='{inside}' type='video/mp4' length='1'/></item></channel></rss>".encode(),
            "application/rss+xml",
        )
    }
    return found | hls_traps(clip, inside) | dash_traps(inside)


def hls_traps(clip: bytes, inside: str) -> dict[str, dict[str, Answer]]:
    segments = split_hls(clip)
    playlist = media_playlist(segments)
    first = {"0.ts": content(segments[0].data)}
    master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{0}\n"
    texts = {
        "variant": master.format(inside),
        "segment": playlist.replace("1.ts", inside),
        "first segment": playlist.replace("0.ts", inside),
        "key": playlist.replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{inside}"\n#EXTINF', 1),
        "head": playlist.replace("#EXTINF", f'#EXT-X-MAP:URI="{inside}"\n#EXTINF', 1),
        "segment over a file": playlist.replace("1.ts", "file:///etc/passwd"),
        "segment with a range": playlist.replace("1.ts", f"{inside}").replace(
            "#EXTINF", "#EXT-X-BYTERANGE:10@0\n#EXTINF"
        ),
    }  # fmt: skip
    found = {f"HLS: {name}": {"": content(text.encode(), HLS), **first} for name, text in texts.items()}
    found["HLS: segment that redirects"] = {"": content(playlist.encode(), HLS), "0.ts": redirect(inside)}
    found["HLS: variant that redirects"] = {
        "": content(master.format("v.m3u8").encode(), HLS),
        "v.m3u8": redirect(inside),
    }
    return found


def dash_traps(inside: str) -> dict[str, dict[str, Answer]]:
    folder = inside.rpartition("/")[0] + "/"
    mpd = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT4S">{0}<Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="1" codecs="avc1.42c01e" width="320" height="240" bandwidth="1">{1}'
        "</Representation></AdaptationSet></Period></MPD>"
    )
    template = '<SegmentTemplate timescale="1" duration="1" initialization="{0}" media="{1}"/>'
    listed = (
        '<SegmentList timescale="1" duration="1"><Initialization sourceURL="{0}"/><SegmentURL media="{1}"/>'
        "</SegmentList>"
    )
    texts = {
        "base": mpd.format(f"<BaseURL>{folder}</BaseURL>", template.format("i.mp4", "$Number$.m4s")),
        "base of one file": mpd.format("", f"<BaseURL>{inside}</BaseURL>"),
        "template": mpd.format("", template.format("i.mp4", folder + "$Number$.m4s")),
        "head": mpd.format("", template.format(inside, "$Number$.m4s")),
        "list": mpd.format("", listed.format("i.mp4", inside)),
    }
    here = {"i.mp4": content(bytes(64)), "1.m4s": content(bytes(64))}
    return {f"DASH: {name}": {"": content(text.encode(), DASH), **here} for name, text in texts.items()}


@dataclass(frozen=True)
class Results:
    """How every attempt ended, and the requests that the servers got."""

    attempts: dict[str, Attempt]
    canary: list[tuple[str, str]]
    public: list[tuple[str, str]]


def _try(url: str, into: Path) -> Attempt:
    error = None
    try:
        fetched(url, into, LIMITS, Span())
    except errors.UnmaskError as problem:
        error = problem
    return Attempt(error, tuple(path.name for path in into.rglob("*")))


def own_port() -> int:
    """Choose a port that the system does not hand out: no program of another test calls there by mistake."""
    for port in range(20_011, 30_000, 97):
        with socket.socket(socket.AF_INET6) as tried:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                tried.bind(("::", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")


@pytest.fixture(scope="module")
def results(clip, tmp_path_factory):
    really_public = address_policy.is_public
    with pytest.MonkeyPatch.context() as patch, Site(host=PUBLIC, port=own_port()) as public:
        patch.setattr(address_policy, "is_public", lambda address: str(address) == PUBLIC or really_public(address))
        patch.setattr(address_policy, "WEB_PORTS", range(1, 65536))
        patch.setattr(client, "WORKER", STAND_IN)
        port = public.port
        secret = content(f"<title>{SECRET}</title>".encode(), "text/html")
        with (
            Site(host="127.0.0.1", port=port, otherwise=secret, server=CountingServer) as four,
            Site(host="::1", port=port, otherwise=secret, server=SixServer) as six,
        ):
            canary = f"127.0.0.1:{port}"
            for name in ("http_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
                patch.setenv(name, f"http://{canary}")
            urls = {f"spelled {host}": f"http://{host}:{port}/v.mp4" for host in SPELLINGS}
            urls |= {f"malformed {text}": text.format(canary=canary, public=f"{PUBLIC}:{port}") for text in MALFORMED}
            urls |= {f"name {name}": f"http://{name}:{port}/v.mp4" for name in NAMES}
            public.routes["/v.mp4"] = redirect("/again.mp4")  # each hop looks the name up again
            public.routes["/again.mp4"] = redirect("/clip.mp4")
            public.routes["/clip.mp4"] = media(clip)
            for number, (name, trap) in enumerate(traps(clip, canary).items()):
                public.routes |= {f"/{number}/{path}": answer for path, answer in trap.items()}
                urls[name] = public.url(f"/{number}/")
            folders = [tmp_path_factory.mktemp("into") for _ in urls]
            with ThreadPoolExecutor(3) as pool:
                ended = pool.map(_try, urls.values(), folders)
                attempts = dict(zip(urls, ended, strict=True))
            yield Results(attempts, [*four.requests, *six.requests], public.requests)


HARMLESS = {"name public.example"}  # shows that this set-up lets a video through


def test_there_are_many_attempts(results):
    assert len(results.attempts) - len(HARMLESS) >= 60


def test_a_public_video_passes_in_the_same_set_up(results):
    attempt = results.attempts["name public.example"]
    assert attempt.error is None
    assert attempt.left == ("video",)


def test_the_canary_gets_no_request(results):
    assert results.canary == []


def test_every_attempt_is_refused_as_an_address_or_as_a_link(results):
    wrong = {}
    for name, attempt in results.attempts.items():
        wanted = {"blocked_address"} | ({"bad_url"} if name.startswith("malformed") else set())
        code = attempt.error.code if attempt.error else "fetched"
        if code not in wanted and name not in HARMLESS:
            wrong[name] = f"{code}: {attempt.error}"
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())


def test_no_answer_repeats_what_is_inside_or_where(results):
    for name, attempt in results.attempts.items():
        if attempt.error is not None:
            message = str(attempt.error)
            assert SECRET not in message, name
            assert "127.0.0.1" not in message, name
            assert "root:" not in message, name


def test_no_attempt_leaves_a_file(results):
    assert {name for name, attempt in results.attempts.items() if attempt.left} == HARMLESS
