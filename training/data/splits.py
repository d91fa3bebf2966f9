"""Splits that keep people apart: nobody of training is met again in validation or test.

Pure: identities are names of people, or of source videos where people are not known.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

SPLITS = ("train", "val", "test")
NOWHERE = ""  # the split of a video that fits none: its people are in different ones, or in none
SHARES = (0.8, 0.1, 0.1)  # of the people in each of SPLITS, where nobody says otherwise
CROWD = (10, 0.1)  # people who meet in videos are a crowd if more than 10, and a tenth of everybody
NAMED = 5  # offenders that an error names

People = tuple[str, ...]


class LeakError(ValueError):
    """The same person is in more than one split; `offenders` maps each to {split: video ids}."""

    def __init__(self, offenders: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self.offenders = offenders
        lines = [_describe(identity, places) for identity, places in list(offenders.items())[:NAMED]]
        more = f" and {len(offenders) - NAMED} more" if len(offenders) > NAMED else ""
        super().__init__(f"splits share people: {'; '.join(lines)}{more}")


class Placed(Protocol):
    """What has people in it and belongs to a split."""

    @property
    def video_id(self) -> str: ...
    @property
    def identities(self) -> People: ...
    @property
    def split(self) -> str: ...


def check_disjoint(videos: Iterable[Placed]) -> None:
    """Raises LeakError, naming people and videos, when somebody is in more than one split."""
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for video in videos:
        for identity in video.identities:
            if video.split != NOWHERE:
                places[identity][video.split].append(video.video_id)
    offenders = {identity: dict(places[identity]) for identity in sorted(places) if len(places[identity]) > 1}
    if offenders:
        raise LeakError(offenders)


def place(people: Sequence[People], split_of: Callable[[str], str]) -> list[str]:
    """The people of each video, and the split of each person -> the split of each video.

    NOWHERE for a video whose people are in different splits.
    """
    choices = [{split_of(identity) for identity in some} for some in people]
    return [next(iter(choice)) if len(choice) == 1 else NOWHERE for choice in choices]


def by_hash(people: Sequence[People]) -> list[str]:
    """The people of each video -> its split, about SHARES of the people in each, the same every time.

    People who meet in a video stay together. A crowd, in which everybody is swapped with everybody, would
    fall into one split as a whole; there each person goes alone, and videos of two who part go NOWHERE.
    """
    key = {}
    together = meetings(people)
    least, share = CROWD
    limit = max(least, share * sum(map(len, together)))
    for group in together:
        key.update({identity: identity if len(group) > limit else min(group) for identity in group})
    return place(people, lambda identity: hashed(key[identity]))


def hashed(name: str, shares: Sequence[float] = SHARES) -> str:
    """A split drawn by the name alone."""
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    for split, share in zip(SPLITS, shares, strict=False):
        if draw < share:
            return split
        draw -= share
    return SPLITS[len(shares) - 1]


def meetings(people: Iterable[People]) -> list[set[str]]:
    """Groups of those who are in one video, directly or by way of others."""
    group_of: dict[str, set[str]] = {}
    for some in people:
        merged = set(some).union(*(group_of.get(identity, set()) for identity in some))
        group_of.update(dict.fromkeys(merged, merged))
    return list({id(group): group for group in group_of.values()}.values())


def why_nowhere(people: People, known: Mapping[str, str]) -> str:
    """In words, why a video of these people has no split; `known` holds the split of everybody placed."""
    places = [f"{identity} is in {known[identity]}" for identity in people if identity in known]
    return "; ".join(places) or "the split does not name it"


def _describe(identity: str, places: Mapping[str, Sequence[str]]) -> str:
    return f"{identity} in " + " and ".join(f"{split} ({videos[0]})" for split, videos in places.items())
