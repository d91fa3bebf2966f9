"""Catalogs: what a manifest says, ways to split it, refusal of leaks and of equal names."""

from pathlib import Path

import pytest

from training.data.catalog import Catalog, ExcludedFile, LabelledVideo, read_manifest, split
from training.data.splits import UNASSIGNED, LeakError


def video(name, *identities, split="train", fake=False, made_from=""):
    people = identities or (name,)
    return LabelledVideo(Path(f"{name}.mp4"), name, fake, "x" if fake else "real", people, split, made_from)


def manifest(folder, *lines):
    (folder / "manifest.tsv").write_text("\n".join("\t".join(line.split()) for line in lines) + "\n")
    return read_manifest(folder)


def test_a_manifest_with_every_column(tmp_path):
    (found,) = manifest(
        tmp_path,
        "file label method target_id source_id original_id video_id split",
        "a/b.mp4 fake FaceSwap 183 253 orig own val",
    )
    assert found == LabelledVideo(
        tmp_path / "a/b.mp4", "own", True, "FaceSwap", ("183", "253"), "val", made_from="orig"
    )
    assert (found.group, found.original_id) == ("183", "orig")


def test_a_manifest_with_the_least_columns_is_for_testing_only(tmp_path):
    real, fake = manifest(tmp_path, "file label", "real/a.mp4 real(presumed)", "b.mp4 fake")
    assert (real.video_id, real.method, real.identities, real.split) == ("real/a", "real", ("real/a",), "test")
    assert (fake.fake, fake.method, fake.original_id) == (True, "fake", "b")


PEOPLE = [
    ("nobody named", "file label", "a.mp4 fake", ("a",)),
    ("the original stands for the person in it", "file label original_id", "a.mp4 fake o", ("o",)),
    ("the person is named", "file label target_id original_id", "a.mp4 fake t o", ("t",)),
    ("and who lent the face", "file label target_id source_id", "a.mp4 fake t s", ("t", "s")),
    ("a person's own face", "file label target_id source_id", "a.mp4 fake t t", ("t",)),
]


@pytest.mark.parametrize(("head", "row", "people"), [case[1:] for case in PEOPLE], ids=[case[0] for case in PEOPLE])
def test_the_people_of_a_fake_are_named_as_well_as_can_be(tmp_path, head, row, people):
    (found,) = manifest(tmp_path, head, row)
    assert found.identities == people


FRAMES = [
    ("of one person", "real ann train", "real ann train", 1),
    ("of two people", "real ann train", "real bob train", 2),
    ("of a person and their fake", "real ann train", "fake ann train", 2),
]


@pytest.mark.parametrize(("first", "second", "videos"), [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES])
def test_pictures_of_one_person_are_frames_of_one_video(tmp_path, first, second, videos):
    found = manifest(tmp_path, "file label target_id split", f"1.jpg {first}", f"2.JPG {second}")
    assert len(found) == videos
    assert [path.name for video in found for path in video.files] == ["1.jpg", "2.JPG"]
    assert [video.video_id for video in found] == ["1", "2"][:videos]


def test_videos_of_one_person_and_pictures_with_an_id_stay_apart(tmp_path):
    rows = ("1.mp4 real ann a", "2.mp4 real ann b", "3.jpg real ann c", "4.jpg real ann d")
    assert len(manifest(tmp_path, "file label target_id video_id", *rows)) == 4


def test_a_panel_of_a_side_by_side_is_read_and_must_have_four_numbers(tmp_path):
    assert [video.panel_xywh for video in manifest(tmp_path, "file label crop_xywh", "1.mp4 fake 512,0,256,300")] == [
        (512, 0, 256, 300)
    ]
    with pytest.raises(ValueError, match="expected 4"):
        manifest(tmp_path, "file label crop_xywh", "1.mp4 fake 512,0,256")


def test_two_sets_that_share_a_person_or_a_name_are_refused():
    first, second = Catalog((video("a", "ann"),)), Catalog((video("b", "ann", split="val"),))
    with pytest.raises(LeakError, match="ann"):
        first + second
    with pytest.raises(ValueError, match="both called a"):
        Catalog((video("a"), video("a")))


@pytest.mark.parametrize(
    ("how", "expected"), [("official", "train val"), ("train", "train train"), ("test", "test test")]
)
def test_ways_to_split(how, expected):
    found = split(Catalog((video("a"), video("b", split="val"))), how)
    assert [item.split for item in found.videos] == expected.split()


def test_every_second_file_by_name_is_for_validation_unless_the_same_person_comes_twice():
    names = ["d10", "d2", "s1", "d3", "a"]
    found = split(Catalog(tuple(video(name, split="test") for name in names)), "alternate")
    training = [item.video_id for item in found.videos if item.split == "train"]
    assert training == sorted(names)[::2]
    with pytest.raises(LeakError, match="ann"):
        split(Catalog((video("a", "ann"), video("b", "ann"))), "alternate")


def test_videos_without_a_place_in_the_official_split_are_left_out_and_told_why():
    known = (video("a", "ann"), video("b", "bob", split="test"))
    found = split(Catalog((*known, video("c", "ann", "bob", split=UNASSIGNED))), "official")
    assert found.videos == known
    assert found.excluded == (ExcludedFile(Path("c.mp4"), "ann is in train; bob is in test"),)


def test_a_set_without_any_official_split_says_so():
    lists = ExcludedFile(Path("splits"), "the official lists are missing: there")
    with pytest.raises(ValueError, match=r"no official split .*splits: the official lists are missing"):
        split(Catalog((video("a", split=UNASSIGNED),), (lists,)), "official")
