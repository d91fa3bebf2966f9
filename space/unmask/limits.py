"""Limits on one check: the size, duration and fetch time of a video."""

from dataclasses import dataclass

from unmask.errors import BadInput, TooLarge, TooLong


@dataclass(frozen=True)
class Limits:
    """What one check may take from the network and the disk."""

    max_bytes: int = 200 * 2**20  # of the downloaded or uploaded file
    max_seconds: float = 30 * 60.0  # of video in the asked range
    timeout_seconds: float = 120.0  # wall time of a fetch
    allow_private: bool = False  # loopback and private addresses may be fetched


def check_bytes(size_bytes: float, limits: Limits) -> None:
    """Check the size of a video.

    Raises:
        TooLarge: It is larger than `limits` allow.
    """
    if size_bytes > limits.max_bytes:
        raise TooLarge(
            f"The video is larger than {limits.max_bytes / 2**20:.3g} MiB, the most that is taken. "
            "Give a shorter or smaller one."
        )


def check_seconds(duration_seconds: float, start_seconds: float, end_seconds: float | None, limits: Limits) -> None:
    """Check the duration of the asked part of a video.

    Raises:
        BadInput: The part begins behind the end of the video.
        TooLong: It is longer than `limits` allow.
    """
    if start_seconds >= duration_seconds > 0:
        raise BadInput(f"The start lies behind the end of the video, which lasts {format_duration(duration_seconds)}.")
    end = duration_seconds if end_seconds is None else min(end_seconds, duration_seconds)
    if end - start_seconds > limits.max_seconds:
        asked, most = format_duration(end - start_seconds), format_duration(limits.max_seconds)
        raise TooLong(f"The part to check lasts {asked}; at most {most} are checked at once. Give a start and an end.")


def format_duration(seconds: float) -> str:
    """Write a duration as a person does: 4.5 seconds, 3 min 20 s, 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
