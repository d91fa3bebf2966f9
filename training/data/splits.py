"""Split labelled videos so that no person is in more than one of training, validation and test.

Pure functions: an identity is the name of a person, or of a source video where people are not known.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

SPLITS = ("train", "val", "test")
UNASSIGNED = ""  # the split of a video whose identities are in different splits, or in none
SHARES = (0.8, 0.1, 0.1)  # of the identities in each of SPLITS
MANY_IDENTITIES = (10, 0.1)  # a component is broken up if it has more than 10 identities and a tenth of all
NAMED = 5  # leaking identities that an error names

Identities = tuple[str, ...]


class LeakError(ValueError):
    """Raised when an identity is in more than one split; `offenders` maps each to {split: video ids}."""

    def __init__(self, offenders: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self.offenders = offenders
        lines = [_describe(identity, found) for identity, found in list(offenders.items())[:NAMED]]
        more = f" and {len(offenders) - NAMED} more" if len(offenders) > NAMED else ""
        super().__init__(f"splits share people: {'; '.join(lines)}{more}")


class HasSplit(Protocol):
    """A video with identities that belongs to a split."""

    @property
    def video_id(self) -> str:
        """Return the name of the video."""

    @property
    def identities(self) -> Identities:
        """Return the people in it."""

    @property
    def split(self) -> str:
        """Return one of SPLITS, or UNASSIGNED."""


def videos_sharing_people(videos: Iterable[HasSplit], held_out: Iterable[HasSplit]) -> set[str]:
    """Return the ids of the videos that show someone whom a held-out video shows: they must not be trained on."""
    people = {identity for video in held_out for identity in video.identities}
    return {video.video_id for video in videos if people.intersection(video.identities)}


def check_disjoint(videos: Iterable[HasSplit]) -> None:
    """Check that no identity is in more than one split.

    Raises:
        LeakError: naming the identities and their videos.
    """
    splits_of: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for video in videos:
        for identity in video.identities:
            if video.split != UNASSIGNED:
                splits_of[identity][video.split].append(video.video_id)
    offenders = {identity: dict(splits_of[identity]) for identity in sorted(splits_of) if len(splits_of[identity]) > 1}
    if offenders:
        raise LeakError(offenders)


def assign_split(videos: Sequence[Identities], split_of: Callable[[str], str]) -> list[str]:
    """Return the split of each video, given the identities in each and the split of each identity.

    A video whose identities are in different splits is UNASSIGNED.
    """
    choices = [{split_of(identity) for identity in identities} for identities in videos]
    return [next(iter(choice)) if len(choice) == 1 else UNASSIGNED for choice in choices]


def assign_by_hash(videos: Sequence[Identities]) -> list[str]:
    """Return the split of each video, about SHARES of the identities in each, the same every time.

    Identities of one video stay together. A component of MANY_IDENTITIES, in which everybody is swapped with
    everybody, would fall into one split as a whole; there each identity is assigned alone, and videos whose
    identities are then apart are UNASSIGNED.
    """
    key = {}
    components = connected_components(videos)
    fewest, share = MANY_IDENTITIES
    limit = max(fewest, share * sum(map(len, components)))
    for component in components:
        key.update({identity: identity if len(component) > limit else min(component) for identity in component})
    return assign_split(videos, lambda identity: split_by_name(key[identity]))


def split_by_name(name: str, shares: Sequence[float] = SHARES) -> str:
    """Draw a split by the hash of a name."""
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    for split, share in zip(SPLITS, shares, strict=False):
        if draw < share:
            return split
        draw -= share
    return SPLITS[len(shares) - 1]


def connected_components(videos: Iterable[Identities]) -> list[set[str]]:
    """Group the identities that are in one video, directly or by way of others."""
    component_of: dict[str, set[str]] = {}
    for identities in videos:
        merged = set(identities).union(*(component_of.get(identity, set()) for identity in identities))
        component_of.update(dict.fromkeys(merged, merged))
    return list({id(component): component for component in component_of.values()}.values())


def why_unassigned(identities: Identities, known: Mapping[str, str]) -> str:
    """Say in words why a video has no split; `known` holds the split of every assigned identity."""
    found = [f"{identity} is in {known[identity]}" for identity in identities if identity in known]
    return "; ".join(found) or "the split does not name it"


def _describe(identity: str, found: Mapping[str, Sequence[str]]) -> str:
    return f"{identity} in " + " and ".join(f"{split} ({videos[0]})" for split, videos in found.items())
