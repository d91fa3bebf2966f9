"""prepare: what is stored is what a check sees, and it is the same whoever works and whatever dies."""

import csv
import functools
import json
import subprocess
import sys
import tarfile
import time

import cv2
import numpy as np
import psutil
import pytest

from tests.media import astronaut, faceless, glide, window_of, write_video
from training.data import workers
from training.data.catalog import read_manifest
from training.data.dataset_layouts import photographs, read
from training.data.extract_faces import (
    CACHE_SIDE_PX,
    ExtractionSpec,
    ExtractionTask,
    NoFaceError,
    extract_clips,
    to_stored_jpeg,
)
from training.data.shards import read_clips, read_shard
from training.prepare import list_tasks, prepare
from unmask.faces.clips import ClipSpec
from unmask.faces.detector import FaceFinder
from unmask.faces.subjects import SubjectTracker
from unmask.video.decode import decode
from unmask.video.sampling import DecodePlan

SPEC = ExtractionSpec(ClipSpec(frames_per_clip=4, side_px=CACHE_SIDE_PX), windows=2)
VIDEOS = 6  # with a face

pytestmark = pytest.mark.timeout(400)  # processes of their own load torch first


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Faces of different sizes, real and fake; a video without faces; files that are no videos."""
    root = tmp_path_factory.mktemp("set")
    for index in range(VIDEOS):
        folder = root / ("fake" if index % 2 else "real")
        folder.mkdir(exist_ok=True)
        write_video(folder / f"{index}.mp4", glide(40, reach_px=220 + 20 * index))
    write_video(root / "real/faceless.mp4", faceless(20))
    (root / "real/broken.mp4").write_bytes((root / "real/0.mp4").read_bytes()[:700])
    (root / "real/empty.mp4").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def tasks(videos):
    return list_tasks([f"auto={videos}"], "hash")[1]


@pytest.fixture(scope="module")
def prepared(tasks, tmp_path_factory):
    """The set as two processes of this machine prepare it."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare(tasks, out, SPEC, functools.partial(workers.map_in_processes, workers=2))
    return out


def contents(folder):
    assert not (folder / "parts").exists()
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".tar", ".json")}


def table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_every_video_is_stored_or_listed(prepared, tasks):
    stored = {clip.video_id for clip in read_clips(prepared)}
    failed = {row["video_id"]: row["reason"] for row in table(prepared / "failed.tsv")}
    assert stored | failed.keys() == {task.video.video_id for task in tasks}
    assert not stored & failed.keys()
    by_name = {name.rsplit("/", 1)[1]: reason for name, reason in failed.items()}
    assert by_name.keys() == {"faceless", "broken"}
    assert by_name["faceless"] == "no_face: no face was found"
    assert by_name["broken"].startswith("not_a_video: ")


def test_stored_frames_are_the_crops_of_a_check(prepared, videos):
    spec = ClipSpec(frames_per_clip=4, side_px=CACHE_SIDE_PX)
    seen, finder = SubjectTracker([spec]), FaceFinder()
    for frames in decode(videos / "real/2.mp4", DecodePlan(2, 4, spec.frame_stride_seconds)):
        seen.add(frames, finder.detect(frames))
    (person,) = seen.subjects
    stored = [clip for clip in read_clips(prepared) if clip.video_id.endswith("real/2")]
    assert [clip.seconds for clip in stored] == [tuple(clip.seconds) for clip in person.clips[spec]]
    for clip, crops in zip(stored, person.clips[spec], strict=True):
        for jpeg, crop in zip(clip.jpegs, crops.data, strict=True):
            assert np.abs(decoded(jpeg).astype(int) - crop).mean() < 2  # JPEG of quality 95


def test_a_photograph_is_a_clip_of_one_frame_with_the_same_geometry(tmp_path):
    picture = cv2.imencode(".png", astronaut()[..., ::-1])[1].tobytes()
    (tmp_path / "loose.png").write_bytes(picture)
    (tmp_path / "faceless.png").write_bytes(cv2.imencode(".png", next(faceless(1)))[1].tobytes())
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing more")
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        archive.add(tmp_path / "loose.png", "real/1.png")
    found = {video.path.name: ExtractionTask(0, video) for video in photographs(tmp_path).videos}
    (loose,), (packed,) = extract_clips(found["loose.png"], SPEC), extract_clips(found["1.png"], SPEC)
    assert (loose.seconds, loose.fake, len(loose.jpegs)) == ((0.0,), False, 1)
    assert loose.jpegs == packed.jpegs
    assert decoded(loose.jpegs[0]).shape == (CACHE_SIDE_PX, CACHE_SIDE_PX, 3)
    assert len(FaceFinder().detect(window_of(decoded(loose.jpegs[0])))[0]) == 1
    for name in ("faceless.png", "broken.jpg"):
        with pytest.raises(Exception, match=r"no face was found|not a picture"):
            extract_clips(found[name], SPEC)


def test_pictures_of_one_person_become_stills_of_one_video(tmp_path):
    for name, picture in (("1", astronaut()), ("2", next(faceless(1))), ("3", astronaut()[:, ::-1])):
        (tmp_path / f"{name}.jpg").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    rows = "".join(f"{name}.jpg\treal\tann\ttrain\n" for name in "123")
    (tmp_path / "manifest.tsv").write_text("file\tlabel\ttarget_id\tsplit\n" + rows)
    ((_, (task,)),) = [list_tasks([f"manifest={tmp_path}"], "official")]
    stills = extract_clips(task, SPEC)
    assert [(clip.video_id, clip.group, clip.track_id, len(clip.jpegs)) for clip in stills] == [("1", "ann", 0, 1)] * 2
    assert stills[0].jpegs != stills[1].jpegs


def test_a_panel_is_cut_as_if_it_were_the_whole_video(tmp_path):
    width = 320  # of the panel with a face; beside it is nothing
    moving = list(glide(12))
    write_video(tmp_path / "alone.mp4", moving)
    write_video(tmp_path / "beside.mp4", [np.hstack([np.zeros_like(frame), frame]) for frame in moving])
    rows = f"alone.mp4\tfake\t\nbeside.mp4\tfake\t{width},0,{width},240\nbeside.mp4\tfake\t0,0,{width},240\n"
    (tmp_path / "manifest.tsv").write_text("file\tlabel\tcrop_xywh\n" + rows)
    alone, beside, nothing = (ExtractionTask(0, video) for video in read_manifest(tmp_path))
    for one, other in zip(extract_clips(alone, SPEC), extract_clips(beside, SPEC), strict=True):
        assert np.abs(decoded(one.jpegs[0]).astype(int) - decoded(other.jpegs[0])).mean() < 8
    with pytest.raises(NoFaceError):
        extract_clips(nothing, SPEC)


CROPS = [  # (height, width), kind, stays untouched
    ((224, 224), ".jpg", True),
    ((224, 224), ".png", False),
    ((300, 300), ".jpg", False),
    ((120, 200), ".jpg", False),
]


@pytest.mark.parametrize(("shape", "kind", "untouched"), CROPS)
def test_faces_that_are_cut_already_stay_as_they_are_but_for_their_size(shape, kind, untouched):
    crop = cv2.imencode(kind, cv2.resize(astronaut()[:200, 120:320], shape[::-1]))[1].tobytes()
    stored = to_stored_jpeg(crop, SPEC)
    assert (stored == crop) == untouched
    assert decoded(stored).shape == (224, 224, 3)


def test_a_folder_of_crops_is_packed_with_its_split(tmp_path):
    face = cv2.imencode(".jpg", cv2.resize(astronaut()[:200, 120:320], (224, 224)))[1].tobytes()
    for name in ("real/a/1.jpg", "real/a/2.jpg", "fake/b/1.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(face)
    _, tasks = list_tasks([f"crops={tmp_path / 'in'}"], "val")
    assert all(task.is_face_crop for task in tasks)
    prepare(tasks, tmp_path / "out", SPEC, lambda work, items: ((item, work(item)) for item in items))
    found = read_clips(tmp_path / "out")
    assert [(clip.video_id, clip.fake, clip.group, clip.split) for clip in found] == [
        ("in/real/a/1", False, "in/a", "val"),
        ("in/real/a/2", False, "in/a", "val"),
        ("in/fake/b/1", True, "in/b", "val"),
    ]
    assert all(list(clip.jpegs) == [face] for clip in found)


def command(*arguments):
    return [sys.executable, "-m", "training.prepare", *map(str, arguments)]


def options(videos, out):
    return ("--data", f"auto={videos}", "--split", "hash", "--frames", 4, "--windows", 2, "--out", out)


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(videos, prepared, tmp_path):
    out = tmp_path / "out"
    run = subprocess.Popen(command(*options(videos, out), "--workers", 1), stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(out.glob("parts/0*.tar"))) >= 2 or run.poll() is not None)
    assert run.poll() is None, "it ended too early"
    children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    assert not (out / "manifest.tsv").exists()
    done, total = count_done(out), VIDEOS + 2
    assert 2 <= done < total  # it was really midway
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers outlived their run"

    again = subprocess.run(command(*options(videos, out), "--workers", 1), capture_output=True, text=True, check=True)
    assert f"| {done}/{total} [00:00<" in again.stderr  # the bar begins where the other run ended
    assert contents(out) == contents(prepared)
    assert table(out / "manifest.tsv") == table(prepared / "manifest.tsv")
    assert [row["file"].rsplit("/", 1)[1] for row in table(out / "left-out.tsv")] == ["empty.mp4"]
    assert "2 failed" in again.stdout and "1 left out" in again.stdout


def wait_until(true, seconds=200):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count_done(out):
    """Videos that are stored or failed, in parts or in shards that are whole."""
    tars = [*out.glob("parts/0*.tar"), *out.glob("*.tar")]
    read = [read_shard(path) for path in tars]
    return len({item.video_id for some in read for kind in some for item in kind})


REFUSALS = [
    (["--data", "nowhere"], "--data wants NAME=DIR, for instance auto=nowhere"),
    (["--data", "auto=nowhere"], "there is no nowhere"),
    (["--data", "dfdc-2={videos}"], "there is no layout dfdc-2; there are auto, ffpp"),
    (["--data", "auto={videos}"], "no official split is known here"),
    (["--data", "auto={videos}", "--split", "val", "--windows", "0"], "at least one window"),
    (["--data", "auto={videos}", "--data", "videos={videos}", "--split", "val"], "are both called"),
    (["--data", "auto={videos}", "--split", "val", "--ray", "127.0.0.1:9"], "There is no Ray cluster at"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_cannot_be_done_is_said_in_one_line(arguments, message, videos, tmp_path, monkeypatch, capsys):
    from training import prepare as module

    given = [text.format(videos=videos) for text in arguments]
    monkeypatch.setattr(sys, "argv", ["prepare", *given, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as raised:
        module.main()
    assert message in str(raised.value)
    assert str(raised.value).startswith("prepare: ") and "\n" not in str(raised.value)


def test_a_folder_that_was_begun_with_other_videos_is_refused(prepared, videos):
    known = json.loads((prepared / "prepare.json").read_text())
    assert known["windows"] == 2
    tasks = [ExtractionTask(index, video) for index, video in enumerate(read("auto", videos, "train").videos)]
    with pytest.raises(ValueError, match="begun with other videos: take another folder"):
        prepare(tasks, prepared, SPEC, lambda work, items: [])
