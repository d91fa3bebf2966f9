"""Splits: nobody in two of them, the same every time, a leak named."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.splits import (
    SPLITS,
    UNASSIGNED,
    LeakError,
    assign_by_hash,
    assign_split,
    check_disjoint,
    connected_components,
    why_unassigned,
)


@dataclass(frozen=True)
class Seen:
    video_id: str
    identities: tuple[str, ...]
    split: str


names = st.integers(0, 30).map(str)
casts = st.lists(st.lists(names, min_size=1, max_size=2, unique=True).map(tuple), max_size=60)


def as_videos(people, splits):
    return [Seen(f"v{index}", some, split) for index, (some, split) in enumerate(zip(people, splits, strict=True))]


@settings(deadline=None)
@given(casts)
def test_a_split_by_hash_never_shares_a_person(people):
    check_disjoint(as_videos(people, assign_by_hash(people)))


@settings(deadline=None)
@given(casts, st.randoms())
def test_a_split_by_hash_does_not_depend_on_the_order(people, random):
    mixed = random.sample(people, len(people))
    assert dict(zip(mixed, assign_by_hash(mixed), strict=True)) == dict(
        zip(people, assign_by_hash(people), strict=True)
    )


@settings(deadline=None)
@given(casts)
def test_people_who_meet_are_one_group_and_others_are_not(people):
    groups = connected_components(people)
    assert sorted(who for group in groups for who in group) == sorted({who for some in people for who in some})
    assert all(any(set(some) <= group for group in groups) for some in people)


def test_pairs_that_swap_faces_stay_together():
    pairs = [pair for i in range(0, 1000, 2) for pair in ((f"{i}", f"{i + 1}"), (f"{i + 1}", f"{i}"))]
    splits = assign_by_hash(pairs)
    assert UNASSIGNED not in splits
    assert [round(Counter(splits)[name] / len(splits), 1) for name in SPLITS] == [0.8, 0.1, 0.1]


def test_a_crowd_parts_and_loses_the_videos_between_its_parts():
    crowd: list[tuple[str, ...]] = [(f"id{i}", f"id{j}") for i in range(59) for j in range(59) if i != j]
    alone: list[tuple[str, ...]] = [(f"youtube{i}",) for i in range(300)]
    splits = assign_by_hash(crowd + alone)
    assert {"train", "val", "test", UNASSIGNED} == set(splits[: len(crowd)])
    assert UNASSIGNED not in splits[len(crowd) :]


LEAKS = [
    ("no overlap", [("a", "train"), ("b", "test")], []),
    ("one who is in two splits", [("a", "train"), ("b", "train"), ("a", "test")], ["a"]),
    ("one who is in three", [("a", "train"), ("a", "val"), ("a", "test")], ["a"]),
    ("two", [("b", "train"), ("b", "val"), ("a", "train"), ("a", "test")], ["a", "b"]),
    ("a video without a split leaks nothing", [("a", "train"), ("a", UNASSIGNED)], []),
]


@pytest.mark.parametrize(("rows", "offenders"), [case[1:] for case in LEAKS], ids=[c[0] for c in LEAKS])
def test_a_leak_is_refused_with_the_names_of_the_offenders(rows, offenders):
    videos = [Seen(f"v{index}", (who,), split) for index, (who, split) in enumerate(rows)]
    if not offenders:
        return check_disjoint(videos)
    with pytest.raises(LeakError, match="splits share people") as raised:
        check_disjoint(videos)
    assert list(raised.value.offenders) == offenders
    assert all(f"{who} in " in str(raised.value) for who in offenders)
    assert "v0" in str(raised.value) or "v2" in str(raised.value)
    return None


def test_a_video_of_people_from_two_splits_goes_nowhere_and_is_told_why():
    known = {"a": "train", "b": "test"}
    people = [("a",), ("a", "b"), ("c",)]
    assert assign_split(people, lambda who: known.get(who, UNASSIGNED)) == ["train", UNASSIGNED, UNASSIGNED]
    assert why_unassigned(("a", "b"), known) == "a is in train; b is in test"
    assert why_unassigned(("c",), known) == "the split does not name it"
