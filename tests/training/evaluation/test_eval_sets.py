"""Sets to measure on: what is found in them is what a check finds, and is kept for the next time."""

import numpy as np
import pytest

from tests.training.faces import face
from tests.training.sets import crop_set, video_set
from training.evaluation.corruptions import Condition
from training.evaluation.eval_sets import CachedSet, ClipSet, SamplingSpec, open_set, subset
from unmask.faces.clips import ClipSpec
from unmask.faces.detector import FaceFinder
from unmask.video.sampling import DecodePlan

SPEC = ClipSpec(frames_per_clip=3, side_px=64)
LARGER = ClipSpec(frames_per_clip=3, side_px=96)
LOOK = SamplingSpec(DecodePlan(2, 3, 0.12), (SPEC,))


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return video_set(tmp_path_factory.mktemp("videos"), {"a": "real", "b": "fake"})


def same(first, second):
    return first.excluded == second.excluded and all(
        one.track_id == other.track_id
        and np.array_equal(one.data, other.data)
        and np.array_equal(one.seconds, other.seconds)
        and np.array_equal(one.xyxy, other.xyxy)
        for spec in first.clips
        for one, other in zip(first.clips[spec], second.clips[spec], strict=True)
    )


def test_a_folder_of_videos(videos, finder):
    opened = open_set(videos, finder, None)
    assert [(item.id, item.fake, item.split) for item in opened.examples] == [("a", False, "test"), ("b", True, "test")]
    clips = opened.find(opened.examples[0], LOOK).clips[SPEC]
    assert len(clips) == 2
    assert {clip.data.shape for clip in clips} == {(3, 64, 64, 3)}


def test_what_was_found_is_kept_bit_for_bit_and_not_looked_for_again(tmp_path, finder):
    folder = video_set(tmp_path / "set", {"a": "real"})
    fresh = open_set(folder, finder, tmp_path / "cache")
    assert isinstance(fresh, CachedSet)
    (example,) = fresh.examples
    first = fresh.find(example, LOOK)
    assert same(first, open_set(folder, finder, None).find(example, LOOK))
    later = open_set(folder, finder, tmp_path / "cache")
    (folder / "a.mp4").rename(folder / "gone")  # whoever looks again now finds nothing
    assert same(later.find(example, LOOK), first)


@pytest.mark.parametrize(
    "look",
    [
        SamplingSpec(DecodePlan(1, 3, 0.12), (SPEC,)),
        SamplingSpec(LOOK.plan, (LARGER,)),
        SamplingSpec(LOOK.plan, (SPEC,), Condition("jpeg", 30)),
    ],
    ids=["other windows", "another clip geometry", "corrupted frames"],
)
def test_another_look_is_not_answered_from_what_was_kept(tmp_path, finder, look):
    folder = video_set(tmp_path / "set", {"a": "real"})
    opened = open_set(folder, finder, tmp_path / "cache")
    (example,) = opened.examples
    first, second = opened.find(example, LOOK), opened.find(example, look)
    clips, others = first.clips[SPEC], second.clips[look.specs[0]]
    assert len(clips) != len(others) or not np.array_equal(clips[0].data, others[0].data)


def test_windows_of_loose_crops(tmp_path, finder):
    opened = open_set(crop_set(tmp_path), finder, None)
    assert [(item.id, item.method, item.group) for item in opened.examples] == [
        ("real/a", "real", "1"),
        ("fake/b", "swap", "1"),
    ]
    clips = opened.find(opened.examples[1], LOOK).clips[SPEC]
    assert [clip.data.shape for clip in clips] == [(3, 64, 64, 3)] * 2
    assert clips[0].track_id == clips[1].track_id
    assert clips[0].seconds.tolist() == pytest.approx([0, 0.12, 0.24])


def test_stored_clips_are_those_of_validation_and_test_by_video():
    stored = [face("a", split="train"), face("b", split="val"), face("b", split="val", shift=4)]
    opened = ClipSet(stored)
    assert [(item.id, item.split) for item in opened.examples] == [("b", "val")]
    assert len(opened.find(opened.examples[0], LOOK).clips[SPEC]) == 2


@pytest.mark.parametrize(("count", "reals", "fakes"), [(4, 2, 2), (100, 6, 9), (2, 1, 1)])
def test_a_part_of_a_set_is_half_real_and_of_all_methods(count, reals, fakes):
    stored = [face(f"r{i}", split="val") for i in range(6)]
    stored += [face(f"f{i}", "r0", method=f"m{i % 3}", split="val") for i in range(9)]
    examples = ClipSet(stored).examples
    chosen = subset(examples, count)
    assert sum(not item.fake for item in chosen) == reals
    assert sum(item.fake for item in chosen) == fakes
    assert chosen == tuple(item for item in examples if item in chosen)  # in their order
    assert len({item.method for item in subset(examples, 6) if item.fake}) == 3
