"""Tar shards: what is read is what was atomic_write, equal clips give equal bytes, nothing half is left."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.shards import StoredClip, read_clips, read_shard, write_clips, write_shard

A = StoredClip("a", False, "real", "a", "a", "train", 0, (0.0, 0.12), (b"one", b"two"))
B = StoredClip("sub/b", True, "FaceSwap", "a", "a", "val", 3, (1.5,), (b"three",), "dark")


def same(clips):
    """Clips as values: pictures in memory and in a file are the same pictures."""
    return [{**vars(clip), "jpegs": list(clip.jpegs)} for clip in clips]


texts = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
clips = st.builds(
    lambda video_id, track_id, fake, frames: StoredClip(
        video_id=video_id,
        fake=fake,
        method="x" if fake else "real",
        original_id=video_id,
        group=video_id,
        split="train",
        track_id=track_id,
        seconds=tuple(seconds for seconds, _ in frames),
        jpegs=tuple(jpeg for _, jpeg in frames),
        group_label="x" if fake else "",
    ),
    texts,
    st.integers(0, 3),
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 1e5), st.binary(max_size=20)), min_size=1, max_size=4),
)


@settings(deadline=None, max_examples=40)  # a busy disk is no defect
@given(clips=st.lists(clips, max_size=6, unique_by=lambda clip: clip.video_id))
def test_what_is_read_is_what_was_written(tmp_path_factory, clips):
    path = tmp_path_factory.mktemp("shard") / "train-00000.tar"
    write_shard(path, clips)
    assert same(read_shard(path)[0]) == same(clips)


def test_a_folder_holds_a_shard_a_split(tmp_path):
    write_clips(tmp_path / "out", [B, A])
    assert same(read_clips(tmp_path / "out")) == same([A, B])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.tsv", "failed.tsv", "train-00000.tar", "val-00000.tar"}


def test_single_faces_with_a_row_each_are_clips_of_one_frame(tmp_path):
    with tarfile.open(tmp_path / "train-00.tar", "w") as archive:
        for name in ("fake", "real"):
            (tmp_path / name).write_bytes(name.encode())
            archive.add(tmp_path / name, f"{name}/x.jpg")
    (tmp_path / "manifest.tsv").write_text(
        "shard\tfile\tlabel\tvideo_id\toriginal_id\tsplit\n"
        "train-00.tar\tfake/x.jpg\tfake\tf\tr\ttrain\n"
        "train-00.tar\treal/x.jpg\treal\tr\tr\ttrain\n"
    )
    fake, real = read_clips(tmp_path)
    assert (fake.fake, fake.method, fake.original_id, fake.group) == (True, "fake", "r", "r")
    assert (real.fake, real.method, real.seconds, list(real.jpegs)) == (False, "real", (0.0,), [b"real"])


def test_a_picture_that_the_shard_does_not_hold_is_named(tmp_path):
    write_clips(tmp_path, [A])
    write_shard(tmp_path / "train-00000.tar", [B])
    with pytest.raises(KeyError, match=r"train-00000\.tar holds no file real/a/0-0-0\.jpg"):
        read_clips(tmp_path)


def test_a_clip_needs_a_picture_for_every_moment():
    for jpegs in ((), (b"one",)):
        with pytest.raises(ValueError, match="a: "):
            StoredClip("a", False, "real", "a", "a", "train", 0, (0.0, 0.1), jpegs)
