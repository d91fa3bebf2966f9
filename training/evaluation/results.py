"""The results of an evaluation as plain data: one row a video, and the numbers that follow from the rows.

`training.evaluate` writes it as `results.json`; figures and model cards are made from it. No heavy imports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from unmask.files import atomic_write

SCHEMA = "unmask.evaluation/2"
GRADES = (
    *("strong fake", "moderate fake", "weak fake", "none"),
    *("weak real", "moderate real", "strong real", "no_face"),
)
NO_FACE_SCORE = 0.5  # of a video in which no face was found


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float  # 2.5 %
    high: float  # 97.5 %

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Difference:
    """A metric of the second model minus that of the first, on the same videos."""

    value: float
    low: float
    high: float
    p_value: float  # two-sided: twice the share of resampled differences on the other side of zero

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.2f} to {self.high:+.2f}), p = {self.p_value:.2f}"


@dataclass(frozen=True)
class ModelRecord:
    """A model that was measured."""

    name: str  # in this evaluation: two runs may have the same name otherwise
    revision: str
    parameters: int
    size_bytes: int


@dataclass(frozen=True)
class EnsembleRecord:
    """One model, or several that answer together, with the thresholds that they answer by."""

    name: str
    members: tuple[str, ...]  # names of models
    real_below: float
    fake_above: float


@dataclass(frozen=True)
class Answer:
    """The answer of an ensemble to one video."""

    label: str  # fake, real, uncertain or no_face
    probability_fake: float | None  # as shown to users; None when no face was judged
    uncapped: float | None  # the same before reasons to abstain keep it between the thresholds
    mean_of_frames: float | None  # DeepfakeBench's video score: the mean over the frames of the main face
    grade: str = "no_face"  # of the evidence, one of GRADES

    @property
    def score(self) -> float:
        """Return the probability that is shown."""
        return NO_FACE_SCORE if self.probability_fake is None else self.probability_fake

    @property
    def uncapped_score(self) -> float:
        """Return the probability before reasons to abstain are applied."""
        return NO_FACE_SCORE if self.uncapped is None else self.uncapped

    @property
    def answered(self) -> bool:
        """Return whether the label is fake or real."""
        return self.label in ("fake", "real")


@dataclass(frozen=True)
class VideoRow:
    """One video with its label and every answer."""

    id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    group: str  # the person in it: resampled together in the bootstrap
    group_label: str  # "" where none is given
    answers: Mapping[str, Answer]  # by ensemble


@dataclass(frozen=True)
class Part:
    """The reals with the fakes of one method, or the videos of one labelled group, counted."""

    reals: int
    fakes: int
    auc: Interval | None  # None without both kinds
    real_labels: Mapping[str, int]  # how many reals got which label
    fake_labels: Mapping[str, int]
    real_grades: Mapping[str, int] = field(default_factory=dict)  # how many reals got which of GRADES
    fake_grades: Mapping[str, int] = field(default_factory=dict)
    reals_called_fake: Interval | None = None  # share; None without reals, or in an older file
    real_median: float | None = None  # of the probabilities that are shown


@dataclass(frozen=True)
class Summary:
    """One ensemble on one set. Rates have exact binomial intervals, the rest bootstrap intervals."""

    ensemble: str
    metrics: Mapping[str, Interval]  # keys of training.evaluation.metrics.measures; empty without both kinds
    false_alarms: Interval | None  # share of the reals that are labelled fake
    missed: Interval | None  # share of the fakes that are labelled real
    wrong_answers: Interval | None  # share of the answers (fake or real) that are wrong
    abstained: Interval  # share of all videos that get no answer
    whole: Part
    by_method: Mapping[str, Part]
    by_group: Mapping[str, Part]
    wrong_by_strength: Mapping[str, Interval] = field(default_factory=dict)  # share of the wrong among those that lean
    leans_right: Interval | None = None  # share of the videos whose evidence leans that it leans right


@dataclass(frozen=True)
class SetResult:
    """The results on one set."""

    name: str
    folder: str  # its last part only
    splits: tuple[str, ...]  # which were read: "test", or "val" where models were chosen on it
    seen: bool  # a part of it was used in training
    unreadable: tuple[str, ...]  # ids of videos left out because they could not be decoded
    rows: tuple[VideoRow, ...]
    summaries: tuple[Summary, ...]

    held_out: bool = False  # nothing was ever chosen by results on it

    @property
    def is_validation(self) -> bool:
        """Return whether epochs, calibration and thresholds may have been chosen on it."""
        return self.splits != ("test",)

    @property
    def is_cross_dataset(self) -> bool:
        """Return whether it was used neither for training nor for validation."""
        return not self.is_validation and not self.seen

    @property
    def role(self) -> str:
        """Return in words what the set was used for."""
        if self.seen:
            return "partly used for training"
        if self.is_validation:
            return "validation: used to choose epochs and thresholds"
        return "held-out set" if self.held_out else "development set"

    def summary(self, ensemble: str) -> Summary:
        """Return the summary of an ensemble."""
        return next(item for item in self.summaries if item.ensemble == ensemble)


@dataclass(frozen=True)
class Comparison:
    """The AUC of two ensembles on the same videos of a set, by paired bootstrap."""

    set: str
    first: str
    second: str
    auc: Difference


@dataclass(frozen=True)
class RobustnessPoint:
    """One ensemble on a part of a set, its frames corrupted in one way."""

    set: str
    ensemble: str
    kind: str  # "clean", "jpeg", …: see training.evaluation.corruptions
    level: float
    videos: int
    with_face: int
    auc: Interval
    answered: float  # share of the videos
    wrong: float  # share of the videos that get a wrong answer


@dataclass(frozen=True)
class Results:
    """The results of one evaluation."""

    command: str
    day: str  # ISO date
    models: tuple[ModelRecord, ...]
    ensembles: tuple[EnsembleRecord, ...]
    sets: tuple[SetResult, ...]  # cross-dataset first
    comparisons: tuple[Comparison, ...]
    robustness: tuple[RobustnessPoint, ...]
    schema: str = SCHEMA

    def set(self, name: str) -> SetResult:
        """Return the results on a set."""
        return next(item for item in self.sets if item.name == name)

    def for_card(self, ensemble: str) -> "Results":
        """Return what the card of a model is made of: no rows of videos, no robustness of other ensembles."""
        return replace(
            self,
            sets=tuple(replace(one, rows=()) for one in self.sets),
            robustness=tuple(item for item in self.robustness if item.ensemble == ensemble),
        )


_ADAPTER = TypeAdapter(Results)


def write(results: Results, path: Path) -> None:
    """Write results as JSON."""
    with atomic_write(path) as draft:
        draft.write_bytes(_ADAPTER.dump_json(results, indent=1) + b"\n")


def read(path: Path) -> Results:
    """Read results. Raises ValueError when the file is no evaluation of this schema."""
    results = _ADAPTER.validate_json(path.read_bytes())
    if results.schema != SCHEMA:
        raise ValueError(f"{path.name} is {results.schema}, not {SCHEMA}")
    return results
