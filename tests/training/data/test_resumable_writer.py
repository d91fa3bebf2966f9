"""A folder that fills: the same bytes whatever the order and however often it was left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.resumable_writer import ResumableWriter, SettingsChangedError, plan_shards
from training.data.shards import FailedVideo, StoredClip, read_clips

SPLITS = ["train", "val", "train", "train", "test", "train", "train"]
SETTINGS = {"windows": 4, "shift": (0.1, 0.2)}


def clip(index):
    return StoredClip(
        f"v{index}", False, "real", f"v{index}", f"v{index}", SPLITS[index], 0, (0.0,), (f"{index}".encode(),)
    )


def fill(folder, indices):
    """What a run does, up to where it is stopped; video 3 fails."""
    begun = ResumableWriter(folder, SPLITS, SETTINGS, 2)
    for index in indices:
        if index in begun.pending():
            lost = [FailedVideo("v3", "v3.mp4", "broken")] if index == 3 else []
            begun.add(index, [] if lost else [clip(index)], lost)
    return begun


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_shard_holds_one_split_in_order():
    assert plan_shards(SPLITS, 2) == {
        "test-00000.tar": [4],
        "train-00000.tar": [0, 2],
        "train-00001.tar": [3, 5],
        "train-00002.tar": [6],
        "val-00000.tar": [1],
    }


def test_a_full_folder_holds_every_video_once_and_names_what_failed(tmp_path):
    failed = fill(tmp_path / "out", range(7)).close()
    assert [item.video_id for item in failed] == ["v3"]
    assert [item.video_id for item in read_clips(tmp_path / "out")] == ["v4", "v0", "v2", "v5", "v6", "v1"]
    assert b"train-00001.tar\tv3\tv3.mp4\tbroken\n" in contents(tmp_path / "out")["failed.tsv"]
    assert not list((tmp_path / "out").glob("parts")) and not list((tmp_path / "out").glob(".*"))


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(7)), stops=st.sets(st.integers(0, 7), max_size=3))
def test_order_and_stops_change_nothing(tmp_path_factory, order, stops):
    straight, broken = (tmp_path_factory.mktemp(name) for name in ("straight", "broken"))
    fill(straight, range(7)).close()
    for stop in sorted(stops):
        fill(broken, order[:stop])
    fill(broken, order).close()
    assert contents(broken) == contents(straight)


def test_a_stop_between_a_shard_and_the_removal_of_its_parts_doubles_nothing(tmp_path):
    begun = fill(tmp_path / "a", [0])
    part = (tmp_path / "a/parts/0000000.tar").read_bytes()
    begun.add(2, [clip(2)])
    (tmp_path / "a/parts/0000000.tar").write_bytes(part)
    fill(tmp_path / "a", range(7)).close()
    fill(tmp_path / "b", range(7)).close()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_shard_that_was_removed_is_made_again(tmp_path):
    fill(tmp_path, range(7)).close()
    before = contents(tmp_path)
    (tmp_path / "train-00001.tar").unlink()
    assert ResumableWriter(tmp_path, SPLITS, SETTINGS, 2).pending() == [3, 5]
    fill(tmp_path, range(7)).close()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("other", [{"windows": 5}, {"more": 1}])
def test_other_settings_are_refused_and_named(tmp_path, other):
    fill(tmp_path, [0])
    with pytest.raises(SettingsChangedError, match=f"begun with other {next(iter(other))}"):
        ResumableWriter(tmp_path, SPLITS, {**SETTINGS, **other}, 2)
