"""The whole check on real small videos, with a small untrained model: everything but the verdict is real."""

import gc
import hashlib
import json
import re
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import reports
from tests.media import glide, jpeg
from tests.servers import video_site
from tests.untrained import SPEC, untrained_model
from unmask.compute import ComputeOptions
from unmask.download.sources import FileSource, FramesSource, Options, UrlSource, content_key
from unmask.errors import BadInput, Cancelled, ModelUnavailable, NoGpu
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.faces.subjects import MAX_BOXES
from unmask.limits import Limits
from unmask.pipeline import Checker
from unmask.progress import STAGES
from unmask.report import FaceReport, is_by_standby, with_source
from unmask.video.frames import Frames
from unmask.video.sampling import Span, plan_windows

HOME = Limits(allow_private=True)

pytestmark = pytest.mark.usefixtures("quick_worker")


@pytest.fixture(scope="module")
def checker():
    return Checker()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Nothing is left in the temporary folder, whatever a test does."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def file(media, name: str) -> FileSource:
    return FileSource(media(name), name)


def captured(count: int, step_seconds: float = 0.12, width: int = 320, height: int = 240) -> FramesSource:
    images = tuple(jpeg(image) for image in glide(count, width, height))
    return FramesSource(images, tuple(5.0 + i * step_seconds for i in range(count)), "https://x.example/", "A talk")


def test_a_file_gives_a_whole_report(checker, media, untrained):
    reported: list[tuple[str, float]] = []
    report = checker.check(
        file(media, "h264.mp4"), Options(models=(untrained,)), lambda stage, done, text: reported.append((stage, done))
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    (face,) = report["faces"]
    assert report["source"]["name"] == "h264.mp4"
    assert (report["source"]["width"], report["source"]["height"]) == (320, 240)
    assert report["coverage"]["frames"] == report["coverage"]["frames_with_face"] > 40
    assert 0 < report["coverage"]["analysed_seconds"] <= 6.0
    assert len(face["boxes"]) <= MAX_BOXES
    assert [box["seconds"] for box in face["boxes"]] == sorted({box["seconds"] for box in face["boxes"]})
    assert all(0 <= x1 < x2 <= 320 and 0 <= y1 < y2 <= 240 for x1, y1, x2, y2 in boxes(face))
    assert all(url.startswith("data:image/jpeg;base64,") for url in (face["thumbnail"], face["heatmap"]))
    assert face["thumbnail"] != face["heatmap"]
    assert report["timing_seconds"]["total"] >= report["timing_seconds"]["faces"] > 0
    stages, fractions = [stage for stage, _ in reported], [done for _, done in reported]
    assert list(dict.fromkeys(stages)) == [stage for stage in STAGES if stage != "queued"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_frames_of_a_check_go_with_it(checker, media, untrained):
    source, options = file(media, "h264.mp4"), Options(models=(untrained,))
    gc.collect()
    gc.disable()  # what refers to itself would stay, for many checks
    try:
        before = pictures_in_memory()  # of other tests
        checker.check(source, options)
        left = [kept for kept in pictures_in_memory() if not any(kept is other for other in before)]
    finally:
        gc.enable()
    assert left == []


def pictures_in_memory() -> list[FaceClip | Frames]:
    return [kept for kept in gc.get_objects() if isinstance(kept, (FaceClip, Frames))]


def boxes(face: FaceReport) -> list[list[float]]:
    return [box["xyxy"] for box in face["boxes"]]


def test_url_file_and_frames_agree(checker, media, untrained):
    """The same video by each way in: the same face in the same place."""
    path = media("h264.mp4")
    with video_site(path.read_bytes()) as site:
        url = site.url("/clip.mp4")
        reports = [
            checker.check(source, Options(models=(untrained,), limits=HOME))
            for source in (FileSource(path, path.name), UrlSource(url), captured(40))
        ]
    by_file, by_url, by_frames = reports
    assert by_url["source"]["kind"] == "url"
    assert by_url["source"]["url"] == by_url["source"]["name"] == url
    assert by_url["source"]["sha256"] == by_file["source"]["sha256"]
    assert by_url["verdict"] == by_file["verdict"]
    assert by_url["faces"] == by_file["faces"]
    assert by_frames["source"] | {"sha256": ""} == {
        "kind": "frames",
        "name": "https://x.example/",
        "url": "https://x.example/",
        "title": "A talk",
        "extractor": None,
        "duration_seconds": None,
        "width": 320,
        "height": 240,
        "sha256": "",
    }
    assert by_frames["faces"][0]["first_seconds"] == 5.0
    assert np.allclose(boxes(by_frames["faces"][0])[0], boxes(by_file["faces"][0])[0], atol=12)
    assert any("captured" in warning for warning in by_frames["warnings"])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("no-face.mp4", "no_face"),
        ("tiny.mp4", "no_face"),
        ("one-frame.mp4", "uncertain"),  # too few frames for more
        ("short.mp4", None),
        ("animation.gif", None),
        ("variable-rate.mp4", None),
        ("fifty-faces.mp4", None),
        ("truncated.mp4", None),
        ("damaged.mp4", None),
    ],
)
def test_odd_videos_get_a_verdict(checker, media, untrained, name, label):
    report = checker.check(file(media, name), Options(models=(untrained,)))
    assert report["status"] == "ok"
    assert label in (None, report["verdict"]["label"])
    assert (report["verdict"]["probability_fake"] is None) == (report["verdict"]["label"] == "no_face")
    if label == "no_face":
        assert report["faces"] == report["timeline"] == []
        assert report["models"][0]["probability_fake"] is None
    if name == "one-frame.mp4":
        assert "too_few_frames" in report["verdict"]["reasons"]
        assert report["warnings"]


def test_a_range_is_kept_to(checker, media, untrained):
    report = checker.check(file(media, "h264.mp4"), Options(Span(2.0, 3.5), (untrained,)))
    seconds = [box["seconds"] for face in report["faces"] for box in face["boxes"]]
    assert 1.9 <= min(seconds) <= max(seconds) <= 3.5
    assert report["coverage"]["start_seconds"] == 2.0
    late = checker.check(file(media, "h264.mp4"), Options(Span(4.0, 60.0), (untrained,)))
    assert any("ends at" in warning for warning in late["warnings"])
    with pytest.raises(BadInput):
        checker.check(file(media, "h264.mp4"), Options(Span(50.0, 60.0), (untrained,)))


def test_an_ensemble_cuts_clips_for_each_model(checker, media, untrained, tmp_path):
    wide = ClipSpec(frames_per_clip=3, frame_stride_seconds=0.3, side_px=96, crop_scale=1.4)
    other = str(untrained_model(tmp_path / "other", "other", wide))
    report = checker.check(file(media, "h264.mp4"), Options(models=(untrained, other, untrained)))
    assert [entry["name"] for entry in report["models"]] == ["untrained", "other"]
    assert all(0 < (entry["probability_fake"] or 0) < 1 for entry in report["models"])
    starts = [moment["start_seconds"] for moment in report["timeline"]]
    assert starts == sorted(set(starts))  # the models' clips of one moment are one row
    plan = plan_windows([model.spec for model in checker.load((untrained, other))])
    assert plan.frame_stride_seconds == 0.12
    assert plan.frames_per_window == 8


def test_copies_of_one_model_that_cut_clips_in_another_way_are_not_mixed_up(checker, media, untrained, tmp_path):
    copy = str(untrained_model(tmp_path / "copy", spec=replace(SPEC, side_px=96)))
    ask = lambda models, on_progress: checker.check(file(media, "short.mp4"), Options(models=models), on_progress)
    alone = ask((untrained,), lambda *_: None)
    beside = ask((untrained,), lambda *_: checker.load((copy,)))  # as another check does
    assert beside["models"] == alone["models"]
    assert ask((copy,), lambda *_: None)["models"] != alone["models"]
    with pytest.raises(ModelUnavailable, match="are called untrained"):
        checker.load((untrained, copy))


def test_an_unknown_model_is_told_before_anything_is_fetched(checker):
    with pytest.raises(ModelUnavailable):
        checker.check(UrlSource("https://unreachable.invalid/"), Options(models=("no-such-model",)))


def test_progress_carries_a_provisional_number_as_soon_as_there_is_one(checker, media, untrained):
    reported: list[tuple[str, str]] = []
    checker.check(
        file(media, "h264.mp4"), Options(models=(untrained,)), lambda stage, _, text: reported.append((stage, text))
    )
    texts = list(dict.fromkeys(text for stage, text in reported if stage == "faces"))
    assert texts[0] == "Looking for faces"
    assert len(texts) > 1 and all(re.search(r"So far .+% likely a deepfake – provisional", text) for text in texts[1:])
    assert {text for stage, text in reported if "provisional" in text and stage != "faces"} == set()


def test_a_borrowed_gpu_is_asked_once_for_the_whole_video(media, untrained):
    calls: list[str] = []

    def on_gpu(function):
        def borrowing(*given):
            calls.append(function.__name__)
            return function(*given)

        return borrowing

    report = Checker(on_gpu=on_gpu).check(file(media, "h264.mp4"), Options(models=(untrained,)))
    again = 0 if report["verdict"]["label"] == "uncertain" else 1
    assert calls == ["_score_clips"] * (1 + again) + ["_explain_faces"]


def test_where_no_gpu_can_be_borrowed_the_bundled_model_answers_and_says_so(media, untrained):
    expected = Checker(ComputeOptions("onnxruntime")).check(file(media, "h264.mp4"))
    assert not is_by_standby(expected)
    for granted in (0, 1):  # none is free; the time ends after the scores
        loans: list[Any] = []

        def on_gpu(function, granted=granted, loans=loans):
            def borrowing(*given):
                loans.append(function)
                if len(loans) > granted:
                    raise NoGpu("Your time is used up. Try again in 1:00:00.")
                return function(*given)

            return borrowing

        report = Checker(on_gpu=on_gpu).check(file(media, "h264.mp4"), Options(models=(untrained,)))
        assert len(loans) == granted + 1
        assert is_by_standby(report) and report["warnings"][0].endswith("Try again in 1:00:00.")
        for part in ("models", "verdict", "faces", "timeline", "compute"):
            assert report[part] == expected[part]  # type: ignore[literal-required]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "queued"])
def test_a_check_can_be_cancelled_at_every_stage(checker, media, untrained, stage):
    def on_progress(now, fraction, text):
        if now == stage:
            raise Cancelled("No longer wanted.")

    with video_site(media("h264.mp4").read_bytes()) as site, pytest.raises(Cancelled):
        checker.check(UrlSource(site.url("/clip.mp4")), Options(models=(untrained,), limits=HOME), on_progress)
    assert checker.slots.used == 0


def test_a_fetched_video_can_be_kept(checker, media, untrained, tmp_path):
    kept = tmp_path / "kept"
    clip = media("short.mp4")
    with video_site(clip.read_bytes()) as site:
        source = UrlSource(site.url("/clip.mp4"))
        checker.check(source, Options(models=(untrained,), limits=HOME), keep=kept)
        assert kept.read_bytes() == clip.read_bytes()
        gone = tmp_path / "gone" / "kept"  # the caller's folder is gone: that is no failure
        assert checker.check(source, Options(models=(untrained,), limits=HOME), keep=gone)["status"] == "ok"
    unmoved = tmp_path / "unmoved"
    checker.check(FileSource(clip, "clip"), Options(models=(untrained,)), keep=unmoved)
    assert clip.exists()
    assert not unmoved.exists()


def test_cached_content_is_not_examined_again(checker, media, untrained, tmp_path):
    earlier = reports.build([], name="another client's")
    clip = media("short.mp4").read_bytes()
    cached = {content_key(hashlib.sha256(clip).hexdigest(), 0.0): earlier}
    with video_site(clip) as site:
        source = UrlSource(site.url("/clip.mp4"))
        folder, kept = tmp_path / "kept", Options(models=(untrained,), limits=HOME)
        folder.mkdir()  # who wants to keep the video has it fetched as a whole
        report = checker.check(source, kept, keep=folder / "video", cached_reports=cached)
    assert report["source"]["name"] == source.url
    assert with_source(report, earlier["source"]) == earlier
