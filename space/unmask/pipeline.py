"""One check, from a source to a report: fetch, decode, find faces, score their clips, judge, explain, report.

A video passes through in windows: while the next one is decoded, the faces of this one are cut out and scored, and its
frames dropped, so memory does not grow with the video. Fetching and decoding of several checks run side by side; on the
models, and on the face finder, they share the `ComputeSlots`.
"""

import functools
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from unmask.compute import AUTO, Backend, ComputeOptions, ComputeSlots, choose_backend
from unmask.download.sources import (
    FileSource,
    FramesSource,
    Media,
    Options,
    UrlSource,
    VideoSource,
    open_media,
    to_source,
)
from unmask.errors import ModelUnavailable, NoGpu, NotAVideo
from unmask.faces.clips import FaceClip
from unmask.faces.detector import FaceBoxes, FaceFinder
from unmask.faces.subjects import Subject, SubjectTracker
from unmask.faces.upright import UprightFinder
from unmask.models import bundled, inference, saliency
from unmask.models.inference import LoadedModel
from unmask.progress import OnProgress, StageTimer, ignore_progress, to_overall_progress
from unmask.provenance.content_credentials import BackgroundCredentials, picture_credentials
from unmask.provenance.metadata import read_metadata
from unmask.report import (
    STANDBY_ANSWERED,
    CheckReport,
    ComputeReport,
    CoverageReport,
    FaceDetail,
    Provenance,
    Source,
    to_report,
    with_provenance,
    with_source,
)
from unmask.verdict import ClipScore, Policy, ensemble_policy, judge, judge_one_pass
from unmask.verdict_text import clock, percent
from unmask.video.file_format import STILL_IMAGE_MESSAGE
from unmask.video.frames import Frames
from unmask.video.sampling import WINDOWS, plan_windows

__all__ = ["Checker", "FileSource", "FramesSource", "Options", "UrlSource", "shared_checker"]

CLIPS_PER_SLOT = 8  # scored before other checks may come in between and a cancellation is noticed
FACES_PER_SLOT = 2  # explained before the same
CLIPS_PER_LOAN = 32  # scored, or explained, while a GPU is borrowed: it takes seconds until there is one
FEW_FRAMES = 16  # a report from fewer frames with a face says so
DEFAULT_OPTIONS = Options()
ROUNDING_SECONDS = 0.5  # an end that lies so little beyond the end of the video is no mistake

Item = TypeVar("Item")


class Checker:
    """The face finder and the models, loaded at first use. Safe to share between threads.

    Args:
        options: Backend, device and precision.
        on_gpu: Wraps the two functions that run models, `score_clips` and `explain_faces`, for a Space that borrows its
            GPU by the call (`spaces.GPU`); the face finder then stays on the CPU, and the models run once, at the end,
            instead of after every window. Where it raises NoGpu, the bundled model answers on the CPU.
    """

    def __init__(
        self, options: ComputeOptions = AUTO, on_gpu: Callable[[Any], Any] = lambda function: function
    ) -> None:
        self.score_clips = on_gpu(self._score_clips)
        self.explain_faces = on_gpu(self._explain_faces)
        self.borrows_gpu = self.score_clips != self._score_clips
        self.backend = choose_backend(options)
        self.slots = ComputeSlots(self.backend.threads if self.backend.device == "cpu" else 1)
        self._loading = threading.Lock()
        self._finder: FaceFinder | None = None
        self._by_name: dict[str, LoadedModel] = {}  # by the name that was asked for
        self._by_key: dict[str, LoadedModel] = {}
        self._standby: LoadedModel | None = None

    def check(
        self,
        source: VideoSource | Path | str,
        options: Options = DEFAULT_OPTIONS,
        on_progress: OnProgress = ignore_progress,
        *,
        keep: Path | None = None,
        cached_reports: Mapping[str, CheckReport] = MappingProxyType({}),
    ) -> CheckReport:
        """Check one video. No file is left behind.

        Args:
            source: What is checked; of a text, a path or else a URL.
            options: How.
            on_progress: Gets the stage (one of STAGES), the share of the whole check that is done, and a text; it is
                called between steps of at most a few seconds, and what it raises ends the check.
            keep: A path in a folder of the caller's to which a fetched video is moved after a verdict.
            cached_reports: Earlier reports with the same models and span, by `Media.content`; where there is one of
                the content that was fetched, nothing is computed.

        Raises:
            UnmaskError: There is no verdict.
        """
        if isinstance(source, (str, Path)):
            source = to_source(str(source))
        on_progress = to_overall_progress(on_progress)
        timer = StageTimer()
        on_progress("fetch", 0.0, "Getting ready")
        models = self.load(options.models)
        standby = self.load_standby() if self.borrows_gpu else None
        specs = [model.spec for model in models] + ([] if standby is None else [standby.spec])
        plan = plan_windows(specs, options.span)
        with ExitStack() as resources:
            folder = tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True)
            path = Path(resources.enter_context(folder))
            with timer.stage("fetch"):
                opening = open_media(source, path, options.limits, plan, on_progress, whole=keep is not None)
                with _with_credentials_of_picture(source, options.trust_list):
                    media = resources.enter_context(opening)
            credentials = resources.enter_context(closing(BackgroundCredentials(media.statements, options.trust_list)))
            cached = cached_reports.get(media.content) if media.content is not None else None
            if cached is None:
                report = _Check(self, models, standby, media, credentials, options, on_progress, timer).run()
            else:
                said = _provenance(media, credentials, on_progress)
                report = with_source(with_provenance(cached, said), _describe(media))
            if keep is not None and keep.parent.is_dir() and media.fetched is not None:
                shutil.move(media.fetched, keep)
        on_progress("done", 0.0, "Done")
        return report

    def load(self, names: Sequence[str]) -> tuple[LoadedModel, ...]:
        """Load the named models, each once. Raises ModelUnavailable, also where two have one name: scores go by it."""
        with self._loading:
            for name in names:
                if name not in self._by_name:
                    self._by_name[name] = inference.load(name, self.backend)
            models = {_key(self._by_name[name]): self._by_name[name] for name in names}
            self._by_key |= models
        called = [model.name for model in models.values()]
        if twice := next((name for name in called if called.count(name) > 1), None):
            raise ModelUnavailable(f"Two of the models are called {twice}; change the name in the config.json of one.")
        return tuple(models.values())

    def load_standby(self) -> LoadedModel:
        """Load the bundled model on the CPU, once. Raises ModelUnavailable."""
        with self._loading:
            self._standby = self._standby or inference.load(bundled.DEFAULT, Backend())
        return self._standby

    def detect_faces(self, frames: Frames) -> list[FaceBoxes]:
        """Find the faces in each frame of a window."""
        self._finder = self._finder or FaceFinder(Backend() if self.borrows_gpu else self.backend)
        return self._finder.detect(frames)

    def _score_clips(self, model: str, clips: Sequence[FaceClip]) -> np.ndarray:
        """Score clips -> logits float32 (B,). Arguments and result can be pickled, for `on_gpu`."""
        return self._by_key[model].logits(clips)

    def _explain_faces(self, asked: Sequence[tuple[str, FaceClip]]) -> list[saliency.Explanation]:
        """Explain clips by the models of these keys. Arguments and result can be pickled, for `on_gpu`."""
        return [saliency.explain(self._by_key[model], clip) for model, clip in asked]


def _key(model: LoadedModel) -> str:
    """Tell a model from all others, also from copies of its weights that are cut or calibrated in another way."""
    return repr((model.info, model.spec, model.calibration, model.policy))


@functools.cache
def shared_checker(options: ComputeOptions = AUTO) -> Checker:
    """Return the one Checker of this process, so that models are loaded once."""
    return Checker(options)


class _Check:
    """One check of a video that is here."""

    def __init__(
        self,
        checker: Checker,
        models: Sequence[LoadedModel],
        standby: LoadedModel | None,  # answers where no GPU can be borrowed
        media: Media,
        credentials: BackgroundCredentials,
        options: Options,
        on_progress: OnProgress,
        timer: StageTimer,
    ) -> None:
        self._checker, self._models, self._media, self._options = checker, models, media, options
        self._standby, self._notices = standby, [*options.notices]
        self._credentials = credentials
        self._on_progress, self._timer = on_progress, timer
        self._policy = ensemble_policy([model.policy for model in models])
        self._upright = UprightFinder(checker.detect_faces)
        self._tracker = SubjectTracker([model.spec for model in (*models, *([standby] if standby else []))])

    def run(self) -> CheckReport:
        """Find and score the faces, judge them, and show where they look worst."""
        scores = self._score_windows()
        try:
            return self._report(scores)
        except NoGpu as error:
            if self._standby is None:
                raise
            self._models, self._policy = (self._standby,), self._standby.policy
            self._notices.append(f"{STANDBY_ANSWERED} {error.message}")
        return self._report([])

    def _report(self, scores: list[ClipScore]) -> CheckReport:
        if self._checker.borrows_gpu:
            scores = self._score(self._tracker.subjects, self._on_progress)
        self._on_progress("model", 0.0, "Weighing what was found")
        verdict = judge(scores, self._policy, self._rescore, self._tracker.excluded)
        faces = self._explain(scores)
        return to_report(
            _describe(self._media),
            verdict,
            revisions={model.name: model.revision for model in self._models},
            faces=faces,
            provenance=_provenance(self._media, self._credentials, self._on_progress),
            compute=ComputeReport(
                backend=self._models[0].backend.name,
                device=self._models[0].backend.device,
                precision=self._models[0].backend.precision,
            ),
            coverage=CoverageReport(
                frames=self._tracker.frames,
                frames_with_face=self._tracker.frames_with_face,
                analysed_seconds=self._tracker.analysed_seconds,
                start_seconds=self._options.span.start_seconds,
                end_seconds=self._options.span.end_seconds,
                offset_seconds=self._media.offset_seconds,
            ),
            timing_seconds=self._timer.read(),
            warnings=[*self._notices, *_warnings(self._media, self._tracker, self._options)],
            input=self._options.input,
        )

    def _score_windows(self) -> list[ClipScore]:
        """Decode window by window, find the subjects and score them; no window is kept."""
        scores: list[ClipScore] = []
        step = ("decode", 0.0, "Reading the video")
        report_step: OnProgress = lambda *_: self._on_progress(*step)
        windows = self._media.windows(lambda: self._on_progress(*step))
        self._on_progress(*step)
        for index, frames in enumerate(self._timer.timed("decode", windows)):
            step = ("faces", index / WINDOWS, _provisional_text(scores, self._policy))
            with self._slot(self._on_progress, *step):
                frames, boxes = self._upright.find(frames)
            with self._timer.stage("faces"):
                subjects = self._tracker.add(frames, boxes)
            if not self._checker.borrows_gpu:
                scores += self._score(subjects, report_step)
        return scores

    def _rescore(self, faces: frozenset[int]) -> list[ClipScore]:
        """Score the clips of some faces after a mild re-compression."""
        with self._timer.stage("model"):
            recompressed = [subject.recompressed() for subject in self._tracker.subjects if subject.id in faces]
        return self._score(recompressed, self._on_progress)

    def _score(self, subjects: Sequence[Subject], on_progress: OnProgress) -> list[ClipScore]:
        """Score every clip of the subjects by every model; other checks may come in between."""
        clips = {
            _key(model): [clip for subject in subjects for clip in subject.clips[model.spec]] for model in self._models
        }
        scores: list[ClipScore] = []
        for model in self._models:
            for batch in _batches(clips[_key(model)], CLIPS_PER_LOAN if self._checker.borrows_gpu else CLIPS_PER_SLOT):
                share = len(scores) / sum(map(len, clips.values()))
                with self._slot(on_progress, "model", share, f"Judging with {model.name}"):
                    is_here = model is self._standby
                    logits = model.logits(batch) if is_here else self._checker.score_clips(_key(model), batch)
                scores += [inference.clip_score(model, *pair) for pair in zip(batch, logits, strict=True)]
        return scores

    def _explain(self, scores: Sequence[ClipScore]) -> dict[int, FaceDetail]:
        """Show every judged face where it looks worst, by id."""
        worst = [(subject, *_worst_clip(subject, self._models, scores)) for subject in self._tracker.subjects]
        details: dict[int, FaceDetail] = {}
        for batch in _batches(worst, CLIPS_PER_LOAN if self._checker.borrows_gpu else FACES_PER_SLOT):
            with self._slot(self._on_progress, "explain", len(details) / len(worst), "Showing what mattered"):
                if self._models[0] is self._standby:
                    shown = [saliency.explain(model, clip) for _, model, clip in batch]
                else:
                    shown = self._checker.explain_faces([(_key(model), clip) for _, model, clip in batch])
            for (subject, _, _), face in zip(batch, shown, strict=True):
                details[subject.id] = FaceDetail(subject.thinned_boxes(), face.face, face.heatmap, face.seconds)
        return details

    @contextmanager
    def _slot(self, on_progress: OnProgress, stage: str, fraction: float, text: str) -> Iterator[None]:
        """Report progress, wait for a compute slot, ready to be cancelled meanwhile, and time the block."""
        on_progress(stage, fraction, text)
        with self._checker.slots.acquire(lambda: on_progress(stage, fraction, text)), self._timer.stage(stage):
            yield


@contextmanager
def _with_credentials_of_picture(source: VideoSource, trust_list: str) -> Iterator[None]:
    """Add to the refusal of a still picture what its Content Credentials say."""
    try:
        yield
    except NotAVideo as error:
        if error.message != STILL_IMAGE_MESSAGE or not isinstance(source, FileSource):
            raise
        raise NotAVideo(f"{error.message} {picture_credentials(source.path, trust_list)}".rstrip()) from error


def _describe(media: Media) -> Source:
    return replace(media.source, sha256=media.sha256())


def _provenance(media: Media, credentials: BackgroundCredentials, on_progress: OnProgress) -> Provenance:
    on_wait = lambda: on_progress("explain", 1.0, "Reading what it says of its origin")
    return Provenance(credentials.result(on_wait), read_metadata(media.statements.tags), media.statements.site)


def _provisional_text(scores: Sequence[ClipScore], policy: Policy) -> str:
    """Describe what is being done, with the probability that the next window may change."""
    probability = judge_one_pass(scores, policy).probability_fake
    if probability is None:
        return "Looking for faces"
    return f"Looking at faces. So far {percent(probability)} likely a deepfake – provisional, it may change"


def _worst_clip(
    subject: Subject, models: Sequence[LoadedModel], scores: Sequence[ClipScore]
) -> tuple[LoadedModel, FaceClip]:
    """Find the moment that looks worst to all models together, and the model that it looks worst to."""
    by_start: dict[float, list[ClipScore]] = defaultdict(list)
    for item in scores:
        if item.track_id == subject.id:
            by_start[item.start_seconds].append(item)
    start = max(by_start, key=lambda second: sum(item.log_odds for item in by_start[second]))
    worst = max(by_start[start], key=lambda item: item.log_odds)
    model = next(model for model in models if model.name == worst.model)
    return model, next(clip for clip in subject.clips[model.spec] if clip.seconds[0] == start)


def _warnings(media: Media, tracker: SubjectTracker, options: Options) -> list[str]:
    """List what to know about how the verdict came about."""
    found = [*media.notices()]
    duration, end = media.source.duration_seconds, options.span.end_seconds
    if duration is not None and end is not None and end > duration + ROUNDING_SECONDS:
        found.append(f"The video ends at {duration:.1f} s, before the end that was asked for ({end:g} s).")
    for gap_start, gap_end in media.gaps():
        found.append(
            f"Nothing could be looked at from {clock(gap_start)} to {clock(gap_end)}: the pictures are not there."
        )
    if tracker.turned:
        found.append("The picture lies on its side or upside down: it was turned, so that faces could be found.")
    if tracker.too_many:
        found.append(f"There are more people than can be judged at once: only {len(tracker.subjects)} were.")
    if tracker.subjects and tracker.frames_with_face < FEW_FRAMES:
        found.append(f"Only {tracker.frames_with_face} frames with a face could be looked at.")
    if media.source.kind == "frames":
        found.append("The pictures were captured in a browser and compressed again; fine traces may be lost.")
    return found


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
