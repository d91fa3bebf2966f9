"""Measure a model on labelled videos it never saw, as the Space would judge them.

    python -m training.evaluate --model mobilenet-gru --set NAME=DIR …

DIR holds `manifest.tsv` and either the video files it names or `frames.tar` with windows of face crops.
Prints one line a set: video AUC with its 95 % interval (people drawn with replacement) and how many videos
of each kind got which label. Sets marked for evaluation are read here and nowhere else.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from training.catalog import LabelledVideo, labelled_videos, pictures
from training.metrics import auc, bootstrap
from training.prepare import people, video_people
from unmask import weights
from unmask.check import WINDOWS
from unmask.faces import FaceFinder
from unmask.people import People
from unmask.verdict import ClipScore, Verdict, decide, score
from unmask.video import Frames
from unmask.weights import LoadedModel

NO_FACE_SCORE = 0.5  # what a video counts as in which no face was found


@dataclass(frozen=True)
class Judged:
    video: LabelledVideo
    verdict: Verdict


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--set", action="append", required=True, metavar="NAME=DIR", dest="sets")
    arguments = parser.parse_args()
    model = weights.load(arguments.model, torch.device("cpu"))
    print(f"{model.name} {model.revision}")
    for text in arguments.sets:
        name, _, folder = text.partition("=")
        print(f"{name}: {summary(judge_all(model, Path(folder)))}", flush=True)


def judge_all(model: LoadedModel, folder: Path) -> list[Judged]:
    """Every video of a set, judged."""
    finder = FaceFinder()
    if (folder / "frames.tar").exists():
        found = ((video, people(windows, finder, model.spec)) for video, windows in cropped(folder, model))
    else:
        videos = labelled_videos(folder)
        found = ((video, video_people(video.path, WINDOWS, finder, model.spec)) for video in videos)
    return [Judged(video, judge(model, everybody)) for video, everybody in tqdm(found, mininterval=20)]


def judge(model: LoadedModel, everybody: People) -> Verdict:
    return decide(clip_scores(model, everybody), model.policy, everybody.excluded)


def clip_scores(model: LoadedModel, everybody: People) -> list[ClipScore]:
    clips = [clip for person in everybody.all for clip in person.clips[model.spec]]
    return [
        score(
            model.name,
            model.calibration,
            float(logit),
            track_id=clip.track_id,
            start_seconds=float(clip.seconds[0]),
            end_seconds=float(clip.seconds[-1]),
            frames=len(clip.seconds),
        )
        for clip, logit in zip(clips, weights.score(model, clips), strict=True)
    ]


def cropped(folder: Path, model: LoadedModel) -> Iterator[tuple[LabelledVideo, list[Frames]]]:
    """Windows of successive frames out of `frames.tar`, taken as if they lay a clip's stride apart."""
    images = pictures(folder / "frames.tar")
    for video in labelled_videos(folder):
        prefix = f"{video.path.relative_to(folder).as_posix()}/"
        names = sorted(name for name in images if name.startswith(prefix))
        windows = [list(some) for _, some in groupby(names, key=lambda name: name.rsplit("-", 1)[0])]
        stride, frames = model.spec.frame_stride_seconds, []
        for index, window in enumerate(windows):
            data = np.stack([decode(images[name]) for name in window])
            frames.append(Frames(data, 10.0 * index + stride * np.arange(len(window), dtype=np.float64)))
        yield video, frames


def decode(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(image, np.uint8)


def summary(judged: list[Judged]) -> str:
    scores = np.array(
        [NO_FACE_SCORE if (p := item.verdict.probability_fake) is None else p for item in judged]
    )
    fake = np.array([item.video.fake for item in judged])
    groups = [item.video.group for item in judged]
    both = 0 < fake.sum() < len(fake)
    area = f"AUC {bootstrap(auc, scores, fake, groups)}, " if both else ""
    return f"{area}{_labels(judged, False)}; {_labels(judged, True)}"


def _labels(judged: list[Judged], fake: bool) -> str:
    labels = Counter(item.verdict.label for item in judged if item.video.fake == fake)
    return f"{labels.total()} {'fake' if fake else 'real'}: {dict(sorted(labels.items()))}"


if __name__ == "__main__":
    main()
