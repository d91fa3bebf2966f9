"""One check from source to report: fetch, decode, faces, clips, score, decide, explain, report.

A video passes through in windows: while the next one is decoded, the faces of this one are cut out and
judged, and its pictures dropped, so memory does not grow with the video. Fetching and decoding of several
checks run side by side; on the models, and on the face finder, they share the `ComputeSlots`.
"""

import functools
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch

from unmask.compute import ComputeSlots
from unmask.download.sources import FileSource, FramesSource, Media, Options, UrlSource, VideoSource, open_media
from unmask.faces.clips import FaceClip
from unmask.faces.detector import FaceFinder
from unmask.faces.subjects import Subject, SubjectTracker
from unmask.faces.tracking import crop_sharpness
from unmask.models import inference, saliency
from unmask.models.inference import LoadedModel
from unmask.progress import Clock, OnProgress, ignore_progress, on_whole_bar
from unmask.report import CheckReport, ComputeReport, Coverage, FaceDetail, to_report, with_source
from unmask.verdict import ClipScore, Policy, decide, ensemble_policy, judge, percent
from unmask.verdict import score as calibrate
from unmask.video.sampling import WINDOWS, plan_windows

__all__ = ["Checker", "FileSource", "FramesSource", "Options", "UrlSource", "shared_checker"]

CLIPS_A_TURN = 8  # scored before other checks get their turn and a cancellation is noticed
FACES_A_TURN = 2  # explained before the same
FEW_FRAMES = 16  # a report from fewer frames with a face says so
ROUNDING_SECONDS = 0.5  # an asked end so little beyond the end of the video is no mistake

Item = TypeVar("Item")


class Checker:
    """Holds the face finder and the models; loads them at first use. Safe to share between threads.

    `on_gpu` wraps the two functions that run models, `score_clips` and `explain_faces`, for a Space that
    borrows its GPU by the call (`spaces.GPU`); the face finder then stays on the CPU, and the models are
    asked once, at the end, instead of after every window.
    """

    def __init__(
        self,
        device: torch.device | None = None,  # None: CUDA where there is one
        precision: str = "auto",  # see `compute.choose_dtype`
        on_gpu: Callable[[Any], Any] = lambda function: function,
    ) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.score_clips = on_gpu(self._score_clips)
        self.explain_faces = on_gpu(self._explain_faces)
        self._precision = precision
        self._slots = ComputeSlots(torch.get_num_threads() if self.device.type == "cpu" else 1)
        self._loading = threading.Lock()
        self._finder: FaceFinder | None = None
        self._models: dict[str, LoadedModel] = {}  # by the name that was asked for

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: OnProgress = ignore_progress,
        *,
        keep: Path | None = None,
        cached_reports: Mapping[str, CheckReport] = MappingProxyType({}),
    ) -> CheckReport:
        """Check one video. Raises UnmaskError, or what `on_progress` raises; leaves no file behind.

        `on_progress` gets the stage (one of STAGES), the share of the whole check that is done, and words for
        a person; it is called between steps of at most a few seconds, and what it raises ends the check.
        `keep` is a path in a folder of the caller's, where a fetched video is left after a verdict.
        `cached_reports` holds earlier reports, by `Media.content`, with the same models and span; where there is
        one of the content that was fetched, it is the report.
        """
        clock = Clock()
        tell = on_whole_bar(on_progress)
        tell("fetch", 0.0, "Getting ready")
        models = self.load(options.models)
        with ExitStack() as open_things:
            folder = open_things.enter_context(
                tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True)
            )
            with clock.stage("fetch"):
                plan, whole = plan_windows([model.spec for model in models], options.span), keep is not None
                opening = open_media(source, Path(folder), options.limits, plan, tell, whole=whole)
                media = open_things.enter_context(opening)
            cached = cached_reports.get(media.content) if media.content is not None else None
            if cached is None:
                report = self._examine(media, models, options, tell, clock)
            else:
                report = with_source(cached, replace(media.source, sha256=media.sha256()))
            if keep is not None and keep.parent.is_dir() and media.fetched is not None:
                shutil.move(media.fetched, keep)
        tell("done", 0.0, "Done")
        return report

    def load(self, names: Sequence[str]) -> tuple[LoadedModel, ...]:
        """The named models, each once. Raises ModelUnavailable."""
        with self._loading:
            for name in names:
                if name not in self._models:
                    self._models[name] = inference.load(name, self.device, self._precision)
            models = [self._models[name] for name in names]
        return tuple({(model.name, model.revision): model for model in models}.values())

    def _examine(
        self,
        media: Media,
        models: Sequence[LoadedModel],
        options: Options,
        tell: OnProgress,
        clock: Clock,
    ) -> CheckReport:
        """What follows the fetch."""
        policy = ensemble_policy([model.policy for model in models])
        tracker, scores = self._look(media, models, policy, tell, clock)
        tell("model", 0.0, "Weighing what was found")

        def rescore(faces: frozenset[int]) -> list[ClipScore]:
            with clock.stage("model"):
                recompressed = [subject.recompressed() for subject in tracker.subjects if subject.id in faces]
            return self._score(recompressed, models, tell, clock)

        verdict = judge(scores, policy, rescore, tracker.excluded)
        faces = self._explain(tracker, models, scores, tell, clock)
        return to_report(
            replace(media.source, sha256=media.sha256()),
            verdict,
            revisions={model.name: model.revision for model in models},
            faces=faces,
            compute=ComputeReport(
                backend="torch", device=self.device.type, precision=str(models[0].dtype).removeprefix("torch.")
            ),
            coverage=Coverage(
                frames=tracker.frames,
                frames_with_face=tracker.frames_with_face,
                analysed_seconds=tracker.analysed_seconds,
                start_seconds=options.span.start_seconds,
                end_seconds=options.span.end_seconds,
                offset_seconds=media.offset_seconds,
            ),
            timing_seconds=clock.read(),
            warnings=_warnings(media, tracker, options),
            input=options.input,
        )

    def _look(
        self, media: Media, models: Sequence[LoadedModel], policy: Policy, tell: OnProgress, clock: Clock
    ) -> tuple[SubjectTracker, list[ClipScore]]:
        """Decode window by window, find the subjects and score them; no window is kept."""
        tracker = SubjectTracker([model.spec for model in models])
        scores: list[ClipScore] = []
        now = ("decode", 0.0, "Reading the video")
        tell_now: OnProgress = lambda *_: tell(*now)
        windows = media.windows(lambda: tell(*now))
        tell(*now)
        for index, frames in enumerate(clock.timed("decode", windows)):
            now = ("faces", index / WINDOWS, so_far(scores, policy))
            with self._with_slot(tell, *now), clock.stage("faces"):
                boxes = self._face_finder().detect(frames)
            with clock.stage("faces"):
                seen = tracker.add(replace(frames, seconds=frames.seconds + media.offset_seconds), boxes)
            if not self._borrows:
                scores += self._score(seen, models, tell_now, clock)
        if self._borrows:
            scores = self._score(tracker.subjects, models, tell, clock)
        return tracker, scores

    def _score(
        self, subjects: Sequence[Subject], models: Sequence[LoadedModel], tell: OnProgress, clock: Clock
    ) -> list[ClipScore]:
        """Every clip of everybody by every model; other checks may come in between."""
        waiting = [(model, clip) for model in models for subject in subjects for clip in subject.clips[model.spec]]
        scores: list[ClipScore] = []
        for model in models:
            clips = [clip for asked, clip in waiting if asked is model]
            for part in _parts(clips, CLIPS_A_TURN):
                done = len(scores) / len(waiting)
                with self._with_slot(tell, "model", done, f"Judging with {model.name}"), clock.stage("model"):
                    logits = self.score_clips(self._name_of(model), part)
                scores += [to_score(model, *pair) for pair in zip(part, logits, strict=True)]
        return scores

    def _explain(
        self,
        tracker: SubjectTracker,
        models: Sequence[LoadedModel],
        scores: Sequence[ClipScore],
        tell: OnProgress,
        clock: Clock,
    ) -> dict[int, FaceDetail]:
        """Pictures of every judged face where it looks worst."""
        worst = [(subject, *_worst_clip(subject, models, scores)) for subject in tracker.subjects]
        details: dict[int, FaceDetail] = {}
        for part in _parts(worst, FACES_A_TURN):
            done = len(details) / len(worst)
            with self._with_slot(tell, "explain", done, "Showing what mattered"), clock.stage("explain"):
                pictures = self.explain_faces([(self._name_of(model), clip) for _, model, clip in part])
            for (subject, _, _), shown in zip(part, pictures, strict=True):
                details[subject.id] = FaceDetail(subject.thinned_boxes(), shown.face, shown.heatmap, shown.seconds)
        return details

    def _score_clips(self, name: str, clips: Sequence[FaceClip]) -> np.ndarray:
        """Logits float32 (B,). Arguments and result can be pickled, for `on_gpu`."""
        return inference.score(self._models[name], clips)

    def _explain_faces(self, asked: Sequence[tuple[str, FaceClip]]) -> list["_Picture"]:
        """Model names and clips -> the picture of each that the report shows."""
        return [_picture(self._models[name], clip) for name, clip in asked]

    def _name_of(self, model: LoadedModel) -> str:
        return next(name for name, loaded in self._models.items() if loaded is model)

    def _face_finder(self) -> FaceFinder:
        self._finder = self._finder or FaceFinder(torch.device("cpu") if self._borrows else self.device)
        return self._finder

    @property
    def _borrows(self) -> bool:
        return self.score_clips != self._score_clips

    @contextmanager
    def _with_slot(self, tell: OnProgress, stage: str, fraction: float, text: str) -> Iterator[None]:
        """Wait for the models, ready to be cancelled meanwhile."""
        tell(stage, fraction, text)
        with self._slots.acquire(lambda: tell(stage, fraction, text)):
            yield


@functools.cache
def shared_checker(precision: str = "auto") -> Checker:
    """Return the one Checker of this process, so that models are loaded once."""
    return Checker(precision=precision)


def so_far(scores: Sequence[ClipScore], policy: Policy) -> str:
    """What is being done, for a person, with the number that the next window may change."""
    probability = decide(scores, policy).probability_fake
    if probability is None:
        return "Looking for faces"
    return f"Looking at faces. So far {percent(probability)} likely a deepfake – provisional, it may change"


def to_score(model: LoadedModel, clip: FaceClip, logit: float) -> ClipScore:
    """What a model's logit says of a clip."""
    return calibrate(
        model.name,
        model.calibration,
        float(logit),
        track_id=clip.track_id,
        start_seconds=float(clip.seconds[0]),
        end_seconds=float(clip.seconds[-1]),
        frames=len(clip.seconds),
        sharpness=crop_sharpness(clip.data),
    )


def _worst_clip(
    subject: Subject, models: Sequence[LoadedModel], scores: Sequence[ClipScore]
) -> tuple[LoadedModel, FaceClip]:
    """The moment that looks worst to all models together, as the model sees it that it looks worst to."""
    of_subject = [item for item in scores if item.track_id == subject.id]
    by_start: dict[float, list[ClipScore]] = defaultdict(list)
    for item in of_subject:
        by_start[item.start_seconds].append(item)
    start = max(by_start, key=lambda second: sum(item.log_odds for item in by_start[second]))
    worst = max(by_start[start], key=lambda item: item.log_odds)
    model = next(model for model in models if model.name == worst.model)
    return model, next(clip for clip in subject.clips[model.spec] if clip.seconds[0] == start)


@dataclass(frozen=True)
class _Picture:
    """A face at one moment."""

    seconds: float
    face: bytes  # JPEG
    heatmap: bytes  # JPEG of the same with what the model looked at


def _picture(model: LoadedModel, clip: FaceClip) -> _Picture:
    """The frame that looks worst when judged alone, and the same with what that rests on."""
    alone = [
        replace(clip, data=clip.data[i : i + 1], seconds=clip.seconds[i : i + 1], xyxy=clip.xyxy[i : i + 1])
        for i in range(len(clip.seconds))
    ]
    worst = alone[int(np.argmax(inference.score(model, alone)))]
    (face,), (heat,) = worst.data, saliency.heatmap(model, worst)
    painted = saliency.jpeg(saliency.paint(face, heat))
    return _Picture(float(worst.seconds[0]), saliency.jpeg(face), painted)


def _warnings(media: Media, tracker: SubjectTracker, options: Options) -> list[str]:
    """What a person should know about how the verdict came about."""
    found = list(options.notices)
    duration, end = media.source.duration_seconds, options.span.end_seconds
    if duration is not None and end is not None and end > duration + ROUNDING_SECONDS:
        found.append(f"The video ends at {duration:.1f} s, before the end that was asked for ({end:g} s).")
    if tracker.too_many:
        found.append(f"There are more people than can be judged at once: only {len(tracker.subjects)} were.")
    if tracker.subjects and tracker.frames_with_face < FEW_FRAMES:
        found.append(f"Only {tracker.frames_with_face} frames with a face could be looked at.")
    if media.source.kind == "frames":
        found.append("The pictures were captured in a browser and compressed again; fine traces may be lost.")
    return found


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
