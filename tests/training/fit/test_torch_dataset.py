"""Training pairs: a real and a fake of the same person, equal for equal draws however they are loaded."""

import numpy as np
import pytest

from tests.training.faces import face
from training.fit.recipes import Mixture
from training.fit.torch_dataset import ClipPairs, PlainClips, cached_meshes, collate, validation_blends
from unmask.faces.clips import ClipSpec

SPEC = ClipSpec(frames_per_clip=3, side_px=96)
REALS = [face("a"), face("b", shift=4)]
FAKES = [face("a-fake", source="a", shift=8)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("meshes")


def pairs(cache, reals=REALS, fakes=FAKES, spec=SPEC, seed=0, **mixture):
    return ClipPairs(reals, cached_meshes(reals, cache), fakes, spec, Mixture(**mixture), seed)


@pytest.mark.parametrize("blended_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("frames", [1, 3, 5])
def test_an_item_is_one_real_and_one_fake_clip(cache, blended_share, frames):
    reals = [face("a", frames=frames), face("b", shift=4, frames=frames)]
    data = pairs(cache, reals=reals, blended_share=blended_share, cross_share=0.5)
    for index in range(len(data)):
        (real, is_real), (fake, is_fake) = data[index]
        assert (is_real, is_fake) == (False, True)
        assert real.shape == fake.shape == (3, 96, 96, 3)


def test_draws_depend_on_seed_epoch_and_index_and_on_nothing_else(cache):
    first, second = pairs(cache), pairs(cache)
    second[1]  # another order of loading
    assert np.array_equal(first[0][1][0], second[0][1][0])
    second.epoch = 1
    assert not np.array_equal(first[0][1][0], second[0][1][0])
    assert not np.array_equal(first[0][1][0], pairs(cache, seed=1)[0][1][0])


# made from -> which fakes may stand beside the real "a"
FAKES_OF = [
    ({"same": "a"}, {"same"}),
    ({"same": "a", "other": "x"}, {"same"}),
    ({"other": "x", "another": "y"}, {"other", "another"}),
    ({"of-b": "b"}, {None}),  # belongs to b: a is blended
    ({}, {None}),
]


@pytest.mark.parametrize(("sources", "expected"), FAKES_OF)
def test_a_true_fake_stands_beside_the_video_it_was_made_from(cache, sources, expected):
    fakes = [face(name, source=source) for name, source in sources.items()]
    data = pairs(cache, fakes=fakes)
    drawn = [data._true_fake(0, np.random.default_rng(seed)) for seed in range(30)]
    assert {clip and clip.video_id for clip in drawn} == expected


def test_a_fake_of_the_same_person_is_drawn_as_often_as_is_asked(cache):
    reals = [face("a", group="ann"), face("b", group="bob", shift=4)]
    fakes = [face(f"of-{who}-{way}", source="x", group=who, method=way) for who in ("ann", "cy") for way in "12"]
    for share, expected in ((1.0, {"of-ann-1", "of-ann-2"}), (0.0, {fake.video_id for fake in fakes})):
        data = pairs(cache, reals=reals, fakes=fakes, same_person_share=share)
        assert {data._true_fake(0, np.random.default_rng(seed)).video_id for seed in range(40)} == expected


def test_single_faces_are_any_frame_of_a_clip_and_clips_are_its_first_ones(cache):
    still, moving = (pairs(cache, spec=ClipSpec(frames_per_clip=frames, side_px=96)) for frames in (1, 3))
    clip = face("a", frames=5)
    assert {still._part(clip, np.random.default_rng(seed)).start for seed in range(60)} == {0, 1, 2, 3, 4}
    assert all(moving._part(clip, np.random.default_rng(seed)) == slice(3) for seed in range(5))


def test_a_face_of_the_same_person_is_never_crossed_in(cache):
    twins = [face("a", group="p"), face("b", group="p", shift=4), face("c", group="q", shift=8)]
    data = pairs(cache, reals=twins)
    assert {data._most_similar_face(0, np.random.default_rng(seed)) for seed in range(10)} == {2}
    alone = pairs(cache, reals=twins[:2])
    assert alone._most_similar_face(0, np.random.default_rng(0)) is None


def test_held_back_blends_are_the_same_for_every_model(cache):
    first, second = (validation_blends(REALS, cached_meshes(REALS, cache), SPEC) for _ in range(2))
    assert all(
        np.array_equal(a[0], b[0]) for index in range(2) for a, b in zip(first[index], second[index], strict=True)
    )


def test_a_batch_is_normalised_as_serving_normalises():
    batch = collate([PlainClips(REALS, SPEC)[0], PlainClips(FAKES, SPEC)[0]], SPEC)
    assert batch.clips.data.shape == (2, 3, 3, 96, 96)
    assert batch.clips.mask.all()
    assert batch.fake.tolist() == [0.0, 1.0]


def test_meshes_are_found_once_and_belong_to_their_clips(cache):
    clips = [face("a", frames=2), face("b", shift=30)]
    first = cached_meshes(clips, cache)
    assert [len(points) for points in first] == [2, 1]
    again = cached_meshes(clips, cache)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(cached_meshes(clips[::-1], cache)[0], first[0][:1])


def test_a_broken_picture_is_named():
    with pytest.raises(ValueError, match="broken-one"):
        PlainClips([face("broken-one", jpeg=b"not a picture")], SPEC)[0]
