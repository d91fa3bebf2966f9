"""Read ranges of a file on the web, where its server allows it. For the download worker."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import RequestError, TransportError

from unmask.download.ytdlp_errors import broken_off

OpenUrl = Callable[[Request], Any]  # a request -> its response

MIN_BYTES = 8 * 2**20  # a smaller file is here sooner when it is fetched as a whole
FLV = b"F"  # first byte of a file whose tags alone, from front to end, tell where its clock starts anew
DIRECT_PROTOCOLS = frozenset({"http", "https"})  # of yt-dlp's protocols, those of one file
CREDENTIAL_HEADERS = frozenset({"authorization", "cookie"})
ATTEMPTS = 3  # at one range, before the connection counts as broken


@dataclass(frozen=True)
class HttpRangeFile:
    """A file whose server serves ranges of it."""

    url: str
    headers: Mapping[str, str]
    size_bytes: int

    def read(self, open_url: OpenUrl, begin: int, end: int) -> bytes:
        """Read the bytes [begin, end). Raises FetchFailed when they do not come, or are of another file by now."""
        for attempt in range(ATTEMPTS):
            try:
                data = self._read_once(open_url, begin, end)
            except TransportError:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            if data is not None:
                return data
        raise broken_off()

    def _read_once(self, open_url: OpenUrl, begin: int, end: int) -> bytes | None:
        response = open_url(Request(self.url, headers={**self.headers, "Range": f"bytes={begin}-{end - 1}"}))
        try:
            if _content_range(response) != (begin, end - 1, self.size_bytes):
                raise broken_off()  # the whole of another version, most likely
            blocks, left = [], end - begin
            while left and (block := response.read(left)):
                blocks.append(block)
                left -= len(block)
        finally:
            response.close()
        return None if left else b"".join(blocks)


def find_remote_file(open_url: OpenUrl, info: Mapping[str, Any]) -> HttpRangeFile | None:
    """Find the file behind what yt-dlp found, if it is large and its server serves ranges; one byte is asked for."""
    if info["protocol"] not in DIRECT_PROTOCOLS or info.get("fragments"):
        return None
    headers = {**(info.get("http_headers") or {}), "Accept-Encoding": "identity"}
    try:
        response = open_url(Request(info["url"], headers={**headers, "Range": "bytes=0-0"}))
    except RequestError:
        return None  # fetching the whole will tell what is wrong
    begins = response.read(1)
    response.close()
    first, last, size_bytes = _content_range(response) or (0, 0, 0)
    if (first, last) != (0, 0) or size_bytes < MIN_BYTES or begins == FLV:
        return None
    if urlsplit(response.url).netloc != urlsplit(info["url"]).netloc:  # what was for one host is not for another
        headers = {name: value for name, value in headers.items() if name.lower() not in CREDENTIAL_HEADERS}
    return HttpRangeFile(response.url, headers | _same_version(response.headers), size_bytes)


def _content_range(response: Any) -> tuple[int, int, int] | None:
    """Read (first byte, last byte, bytes of the whole) of a partial response; None of another."""
    said = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", response.headers.get("Content-Range") or "")
    if response.status != 206 or said is None or response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    first, last, size_bytes = map(int, said.groups())
    return first, last, size_bytes


def _same_version(headers: Mapping[str, str]) -> dict[str, str]:
    """Make the condition that a range is of the file that was seen first (RFC 9110, 13.1.5)."""
    tag, date = headers.get("ETag") or "", headers.get("Last-Modified")
    if tag.startswith('"'):  # others do not promise equal bytes
        return {"If-Range": tag}
    return {"If-Range": date} if date else {}
