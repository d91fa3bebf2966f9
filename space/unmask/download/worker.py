"""The worker process that fetches one video, started by `client`: its limits, and the options of yt-dlp."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from unmask.download import dash, ytdlp_errors
from unmask.download.messages import FetchRequest, Found, Progress
from unmask.download.ytdlp_session import MAX_TITLE_CHARACTERS, PROGRESS, Info, YtdlpSession, choose_format
from unmask.limits import Limits, check_bytes
from unmask.sandbox.address_policy import blocked, guard_process
from unmask.sandbox.protocol import Connection, RangeData, ReadRange
from unmask.sandbox.rlimits import ResourceLimits, apply_rlimits
from unmask.text import printable_line

Report = Callable[[Progress], None]

PROGRAMS = frozenset({"deno"})  # runs YouTube's player code, itself without files and network
MAX_MEMORY_BYTES = 2 * 2**30
MAX_OPEN_FILES = 256
SERVING_SECONDS = 3600.0  # a file is read in ranges as long as its check takes; the parent is less patient
SILENCE_SECONDS = 20.0  # how long a server may say nothing
PROGRESS_SECONDS = 0.2  # between two messages


def main() -> None:
    """Do what the request on stdin asks for. A defect ends in a traceback on stderr, and no last message."""
    parent = Connection()
    message = parent.receive(FetchRequest)
    if message is None:
        return
    request: FetchRequest = message.body
    apply_rlimits(_resource_limits(request))
    refused = guard_process(request.limits, PROGRAMS)
    dash.install()
    try:
        with YtdlpSession(_options(request, parent.send), request.limits) as session:
            info, remote, pieces, starts = session.fetch(request)
            sidecar_url, sidecar = session.sidecar_url, session.fetch_sidecar()
            parent.send(
                Found(
                    title=printable_line(info.get("title"), MAX_TITLE_CHARACTERS) or None,
                    extractor=printable_line(info.get("extractor"), MAX_TITLE_CHARACTERS) or None,
                    duration_seconds=ytdlp_errors.finite(info.get("duration")),
                    size_bytes=remote.size_bytes if remote is not None else None,
                    pieces=pieces,
                    starts=starts,
                    site=session.label and session.label[0],
                    label=session.label and printable_line(session.label[1], MAX_TITLE_CHARACTERS),
                    sidecar_url=sidecar_url,
                ),
                sidecar,
            )
            while remote is not None and (asked := parent.receive(ReadRange)):
                parent.send(RangeData(), remote.read(session.urlopen, asked.body.begin, asked.body.end))
    except ytdlp_errors.EXPECTED as error:
        parent.send_failure(blocked() if refused else ytdlp_errors.to_unmask_error(error))


class _Silent:
    """A logger that drops everything: what matters comes as an exception."""

    def debug(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def _options(request: FetchRequest, report: Report) -> dict[str, Any]:
    limits = request.limits

    def selected(context: Mapping[str, Any]) -> Iterator[Info]:
        yield choose_format(context["formats"], limits.max_bytes)

    return {
        "logger": _Silent(),
        "color": "never",
        "noprogress": True,
        "progress_hooks": [_progress(limits, report)],
        # one video
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": f"1-{ytdlp_errors.MAX_CHOICES + 1}",  # enough to see that there are several
        # small, quick to decode, and in one piece; a format without sound is as good
        "format": selected,
        "format_sort": ["res:720", "fps:30", "vcodec:h264", "hasaud", "proto"],
        "check_formats": False,
        # nothing of this machine or of its owner
        "cachedir": False,
        "usenetrc": False,
        "cookiefile": None,
        "proxy": "",
        "geo_bypass": False,
        # no other program: ffmpeg would connect past `guard_process`
        "ffmpeg_location": f"{request.file}.no-ffmpeg",
        "external_downloader": "native",
        "hls_prefer_native": True,
        "fixup": "never",
        "js_runtimes": {"deno": {}},
        "remote_components": (),
        # patience
        "socket_timeout": min(SILENCE_SECONDS, limits.timeout_seconds),
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        # the file
        "nopart": True,
        "updatetime": False,
    }


def _progress(limits: Limits, report: Report) -> Callable[[Mapping[str, Any]], None]:
    """Make a hook that stops the download at the limit and reports its progress."""
    last = 0.0

    def hook(status: Mapping[str, Any]) -> None:
        nonlocal last
        so_far, total = status.get("downloaded_bytes") or 0, status.get("total_bytes")
        check_bytes(max(so_far, total or 0), limits)
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            report(Progress(_fraction(status), _progress_text(so_far, total)))

    return hook


def _fraction(status: Mapping[str, Any]) -> float | None:
    index, parts = (status.get("info_dict") or {}).get(PROGRESS, (0, 1))
    if status.get("total_bytes"):
        return float((index + status["downloaded_bytes"] / status["total_bytes"]) / parts)
    if status.get("fragment_count"):
        return float((index + status["fragment_index"] / status["fragment_count"]) / parts)
    return None


def _progress_text(so_far: int, total: int | None) -> str:
    whole = f" of {total / 2**20:.1f}" if total else ""
    return f"Fetched {so_far / 2**20:.1f}{whole} MiB"


def _resource_limits(request: FetchRequest) -> ResourceLimits:
    """Give limits that end what the client, which is less patient, can no longer end."""
    limits = request.limits
    return ResourceLimits(
        memory_bytes=MAX_MEMORY_BYTES,
        cpu_seconds=limits.timeout_seconds + 10,
        wall_seconds=max(limits.timeout_seconds + 10, SERVING_SECONDS if request.windows else 0.0),
        file_bytes=limits.max_bytes + 2**20,
        open_files=MAX_OPEN_FILES,
    )


if __name__ == "__main__":
    main()
