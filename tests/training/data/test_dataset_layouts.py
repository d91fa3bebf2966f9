"""Layouts: tiny trees as the data sets come, and what is made of them."""

import json
import tarfile
from collections import Counter

import pytest

from training.data.dataset_layouts import LAYOUTS, detect_layout, photographs, read
from training.data.splits import SPLITS, LeakError


def touch(root, *names, content=b"x"):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def splits_of(catalog):
    return {video.video_id: video.split for video in catalog.videos}


def reasons(catalog):
    return {item.path.name: item.reason for item in catalog.excluded}


PAIRS = {"train": [["071", "054"], ["087", "081"]], "val": [["720", "672"]], "test": [["953", "974"]]}


def faceforensics(root, compressions=("c23",), lists="splits"):
    ids = [number for pairs in PAIRS.values() for pair in pairs for number in pair]
    swaps = [f"{a}_{b}" for pairs in PAIRS.values() for x, y in pairs for a, b in ((x, y), (y, x))]
    for compression in compressions:
        touch(root, *(f"original_sequences/youtube/{compression}/videos/{number}.mp4" for number in ids))
        for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"):
            folder = f"manipulated_sequences/{method}/{compression}/videos"
            touch(root, *(f"{folder}/{swap}.mp4" for swap in swaps))
    for name, pairs in PAIRS.items():
        touch(root, f"{lists}/{name}.json", content=json.dumps(pairs).encode())
    return root


@pytest.mark.parametrize("lists", ["splits", "dataset/splits"])
def test_faceforensics_is_split_by_the_official_pairs(tmp_path, lists):
    found = read("auto", faceforensics(tmp_path, lists=lists))
    assert Counter(video.split for video in found.videos) == {"train": 24, "val": 12, "test": 12}
    assert not found.excluded
    by_id = {video.video_id: video for video in found.videos}
    fake, real = by_id["Deepfakes/c23/071_054"], by_id["youtube/c23/071"]
    assert (fake.method, fake.identities, fake.original_id) == ("Deepfakes", ("071", "054"), real.video_id)
    assert (real.method, real.fake, real.identities, real.split) == ("real", False, ("071",), "train")


def test_one_compression_of_faceforensics_may_be_asked_for(tmp_path):
    root = faceforensics(tmp_path, ("c0", "c23", "c40"))
    assert len(read("ffpp", root).videos) == 3 * len(read("ffpp-c40", root).videos) == 3 * 48
    assert {video.path.parent.parent.name for video in read("ffpp-c40", root).videos} == {"c40"}


def test_faceforensics_lists_what_is_missing_broken_or_unknown(tmp_path):
    root = faceforensics(tmp_path)
    (root / "manipulated_sequences/FaceSwap/c23/videos/087_081.mp4").unlink()
    (root / "original_sequences/youtube/c23/videos/720.mp4").write_bytes(b"")
    touch(root, "original_sequences/youtube/c23/videos/copy of 1.mp4", "original_sequences/youtube/c23/videos/5.mp4")
    found = read("ffpp", root)
    assert reasons(found) == {
        "087_081.mp4": "the file is missing",
        "720.mp4": "the file is empty",
        "copy of 1.mp4": "its name or entry says nothing that is understood",
        "5.mp4": "the split does not name it",
    }
    assert len(found.videos) == 46


def test_faceforensics_without_its_lists_says_where_they_are_and_can_be_split_by_hash(tmp_path):
    root = faceforensics(tmp_path)
    for name in SPLITS:
        (root / f"splits/{name}.json").unlink()
    with pytest.raises(ValueError, match=r"github\.com/ondyari/FaceForensics"):
        read("ffpp", root)
    found = read("ffpp", root, "hash")
    assert len(found.videos) == 48


def test_actors_are_split_by_their_numbers_and_swaps_across_are_left_out(tmp_path):
    touch(
        tmp_path,
        "original_sequences/actors/c23/videos/01__talking_against_wall.mp4",
        "original_sequences/actors/c23/videos/22__walking.mp4",
        "original_sequences/actors/c23/videos/28__walking.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_11__talking_against_wall__9229VVZ3.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/28_01__walking__YVGY8LOK.mp4",
    )
    found = read("ffpp", tmp_path)
    assert splits_of(found) == {
        "actors/c23/01__talking_against_wall": "train",
        "actors/c23/22__walking": "val",
        "actors/c23/28__walking": "test",
        "DeepFakeDetection/c23/01_11__talking_against_wall__9229VVZ3": "train",
    }
    assert found.videos[-1].original_id == "actors/c23/01__talking_against_wall"
    assert found.videos[-1].identities == ("dfd01", "dfd11")
    assert reasons(found)["28_01__walking__YVGY8LOK.mp4"] == "dfd28 is in test; dfd01 is in train"


def test_official_lists_that_leak_are_refused(tmp_path):
    root = faceforensics(tmp_path)
    touch(root, "splits/test.json", content=json.dumps([["953", "974"], ["071", "974"]]).encode())
    with pytest.raises(LeakError, match=r"071 in train \(071_054\) and test \(071_974\)"):
        read("ffpp", root)


def celeb_df(root):
    touch(
        root,
        *(f"Celeb-real/id{who}_{number:04}.mp4" for who in (0, 1, 2, 3, 59, 60) for number in range(2)),
        *(f"YouTube-real/{number:05}.mp4" for number in range(4)),
        *(f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a, b in ((0, 1), (1, 0), (2, 3), (59, 0), (59, 60))),
    )
    lines = ["1 YouTube-real/00001.mp4", "1 Celeb-real/id0_0001.mp4", "0 Celeb-synthesis/id0_id1_0000.mp4"]
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines) + "\n")
    return root


def test_celeb_df_is_tested_on_its_list_and_trained_on_other_people(tmp_path):
    found = read("auto", celeb_df(tmp_path))
    splits = splits_of(found)
    assert {name for name, split in splits.items() if split == "test"} == {
        "YouTube-real/00001",
        "Celeb-real/id0_0001",
        "Celeb-synthesis/id0_id1_0000",
    }
    assert splits["Celeb-real/id2_0000"] == splits["Celeb-real/id2_0001"]
    assert splits["Celeb-real/id2_0000"] in ("train", "val")
    fake = next(video for video in found.videos if video.fake)
    assert (fake.method, fake.original_id) == ("Celeb-DF", "Celeb-real/id0_0000")
    assert fake.identities == ("celeb-id0", "celeb-id1")


def test_videos_of_the_tested_celebrities_are_left_out_and_told_why(tmp_path):
    left = reasons(read("celeb-df", celeb_df(tmp_path)))
    assert left["id0_0000.mp4"] == "celeb-id0 is in test"
    assert left["id1_0000.mp4"] == "celeb-id1 is in test"
    assert left["id1_id0_0000.mp4"] == "celeb-id1 is in test; celeb-id0 is in test"
    assert "celeb-id0 is in test" in left["id59_id0_0000.mp4"]
    assert "00000.mp4" not in left  # YouTube-real: nobody knows who it is, so it is somebody else


def dfdc(root, parts=(0, 1, 41, 49)):
    for part in parts:
        folder = f"dfdc_train_part_{part}"
        real, fakes = f"real{part}.mp4", [f"fake{part}{letter}.mp4" for letter in "ab"]
        entries = {real: {"label": "REAL", "split": "train", "original": None}}
        entries |= {name: {"label": "FAKE", "split": "train", "original": real} for name in fakes}
        touch(root, *(f"{folder}/{name}" for name in entries))
        touch(root, f"{folder}/metadata.json", content=json.dumps(entries).encode())
    return root


@pytest.mark.parametrize("above", ["", "dfdc_train_part_00/"])  # zips unpack into a folder of their own
def test_dfdc_is_split_by_whole_parts(tmp_path, above):
    dfdc(tmp_path / above)
    found = read("auto", tmp_path)
    assert Counter(video.split for video in found.videos) == {"train": 6, "val": 3, "test": 3}
    fake = next(video for video in found.videos if video.fake)
    assert (fake.method, fake.original_id, fake.identities) == ("DFDC", "real0", ("real0",))


def test_an_original_that_stands_in_parts_of_two_splits_is_a_leak_with_its_name(tmp_path):
    root = dfdc(tmp_path, [0, 49])
    entries = json.loads((root / "dfdc_train_part_49/metadata.json").read_text())
    entries["fake49a.mp4"]["original"] = "real0.mp4"
    (root / "dfdc_train_part_49/metadata.json").write_text(json.dumps(entries))
    with pytest.raises(LeakError, match=r"real0 in train \(.*\) and test \(fake49a\)"):
        read("dfdc", root)


def test_a_folder_of_real_and_fake_videos(tmp_path):
    touch(tmp_path, "real/anna/1.mp4", "real/anna/2.MOV", "fake/anna/3.mp4", "real/loose.webm", "real/notes.txt")
    found = read("auto", tmp_path, "hash")
    people = {video.video_id.split("/", 1)[1]: video.group.split("/", 1)[-1] for video in found.videos}
    assert people == {"real/anna/1": "anna", "real/anna/2": "anna", "fake/anna/3": "anna", "real/loose": "real/loose"}
    assert [video.fake for video in found.videos] == [False, False, False, True]
    assert len({video.split for video in found.videos if video.group.endswith("anna")}) == 1


def test_photographs_are_real_people_one_each_loose_or_packed(tmp_path):
    touch(tmp_path, "1.jpg", "more/2.png", "read me.txt", "broken.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"")
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for name in ("10", "9"):
            archive.add(tmp_path / "1.jpg", f"real/{name}.jpg")
        archive.add(tmp_path / "read me.txt", "read me.txt")
    found = photographs(tmp_path)
    ids = [video.video_id.removeprefix(f"{tmp_path.name}/") for video in found.videos]
    assert ids == ["1", "more/2", "faces.tar/real/10", "faces.tar/real/9"]
    assert len({video.group for video in found.videos}) == 4
    assert not any(video.fake for video in found.videos)
    assert [item.path.name for item in found.excluded] == ["broken.jpg"]
    packed = photographs(tmp_path / "faces.tar")
    assert [video.video_id for video in packed.videos] == [video.video_id for video in found.videos[2:]]


def test_pictures_must_be_named_because_nobody_sees_whether_they_are_cut(tmp_path):
    for name, folder, message in (("nonsense", "", "no layout nonsense"), ("dfdc", "nowhere", "there is no .*nowhere")):
        with pytest.raises(ValueError, match=message):
            read(name, tmp_path / folder)
    touch(tmp_path, "real/1.jpg", "fake/2.jpg")
    with pytest.raises(ValueError, match="say which it is"):
        detect_layout(tmp_path)
    assert LAYOUTS["crops"].holds_face_crops
    assert not LAYOUTS["photos"].holds_face_crops
    assert Counter(video.fake for video in read("crops", tmp_path, "train").videos) == {False: 1, True: 1}
