"""What an evaluation found, as plain data: one row a video, and the numbers that follow from the rows.

`evaluate` writes it as `results.json`; `figures`, `card` and `publish` read it. No heavy imports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from unmask.files import atomic_write

SCHEMA = "unmask.evaluation/1"
NO_FACE_SCORE = 0.5  # what a video counts as in which no face was found


@dataclass(frozen=True)
class Interval:
    """A number and the 95 % interval around it."""

    value: float
    low: float  # 2.5 %
    high: float  # 97.5 %

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Difference:
    """How much higher a metric is with the second model than with the first, on the same videos."""

    value: float
    low: float
    high: float
    p_value: float  # two-sided: how often a redrawn difference lies on the other side of zero, doubled

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.2f} to {self.high:+.2f}), p = {self.p_value:.2f}"


@dataclass(frozen=True)
class ModelRecord:
    """A model that was measured."""

    name: str  # in this evaluation: two runs may have the same one elsewhere
    revision: str
    parameters: int
    size_bytes: int


@dataclass(frozen=True)
class Lineup:
    """What is asked together: one model, or several as an ensemble; with the band that they answer by."""

    name: str
    members: tuple[str, ...]  # names of models
    real_below: float
    fake_above: float


@dataclass(frozen=True)
class Answer:
    """What a lineup says of a video."""

    label: str  # fake, real, uncertain or no_face
    probability_fake: float | None  # as shown to a person; None when no face was judged
    frank: float | None  # the same before doubts hold it inside the abstain band
    mean_of_frames: float | None  # DeepfakeBench's video score: the mean over the frames of the main face

    @property
    def score(self) -> float:
        return NO_FACE_SCORE if self.probability_fake is None else self.probability_fake

    @property
    def frank_score(self) -> float:
        return NO_FACE_SCORE if self.frank is None else self.frank

    @property
    def answered(self) -> bool:
        return self.label in ("fake", "real")


@dataclass(frozen=True)
class VideoRow:
    id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    group: str  # the person in it: drawn together in the bootstrap
    group_label: str  # "" where none is given
    answers: Mapping[str, Answer]  # by lineup


@dataclass(frozen=True)
class Part:
    """The reals with the fakes of one method, or the videos of one labelled group."""

    reals: int
    fakes: int
    auc: Interval | None  # None without both kinds
    real_labels: Mapping[str, int]  # how many reals got which label
    fake_labels: Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """One lineup on one set. Rates come with exact binomial intervals, the rest with bootstrap ones."""

    lineup: str
    metrics: Mapping[str, Interval]  # names of training.evaluation.metrics.MEASURES; empty without both kinds
    false_alarms: Interval | None  # share of the reals that are labelled fake
    missed: Interval | None  # share of the fakes that are labelled real
    wrong_answers: Interval | None  # share of the answers (fake or real) that are wrong
    abstained: Interval  # share of all videos that get no answer
    whole: Part
    by_method: Mapping[str, Part]
    by_group: Mapping[str, Part]


@dataclass(frozen=True)
class SetResult:
    name: str
    folder: str  # its last part only
    splits: tuple[str, ...]  # which were read: "test", or "val" where models were chosen on it
    seen: bool  # models saw a part of it in training
    unreadable: tuple[str, ...]  # ids of videos left out because they could not be decoded
    rows: tuple[VideoRow, ...]
    summaries: tuple[Summary, ...]

    @property
    def elsewhere(self) -> bool:
        """Nothing was trained, chosen or fitted on it."""
        return self.splits == ("test",) and not self.seen

    @property
    def origin(self) -> str:
        """How far it is from what models know, in words."""
        if self.seen:
            return "partly seen in training"
        return "from elsewhere" if self.elsewhere else f"split {', '.join(self.splits)}: models were chosen on it"

    def summary(self, lineup: str) -> Summary:
        return next(item for item in self.summaries if item.lineup == lineup)


@dataclass(frozen=True)
class Comparison:
    """AUC of two lineups on the same videos of a set, by paired bootstrap."""

    set: str
    first: str
    second: str
    auc: Difference


@dataclass(frozen=True)
class RobustnessPoint:
    """One lineup on a part of a set, its frames spoiled in one way."""

    set: str
    lineup: str
    kind: str  # "clean", "jpeg", …: see training.evaluation.corruptions
    level: float
    videos: int
    with_face: int
    auc: Interval
    answered: float  # share of the videos
    wrong: float  # share of the videos that get a wrong answer


@dataclass(frozen=True)
class Results:
    command: str
    day: str  # ISO date
    models: tuple[ModelRecord, ...]
    lineups: tuple[Lineup, ...]
    sets: tuple[SetResult, ...]  # cross-dataset first
    comparisons: tuple[Comparison, ...]
    robustness: tuple[RobustnessPoint, ...]
    schema: str = SCHEMA

    def set(self, name: str) -> SetResult:
        return next(item for item in self.sets if item.name == name)


_ADAPTER = TypeAdapter(Results)


def write(results: Results, path: Path) -> None:
    with atomic_write(path) as draft:
        draft.write_bytes(_ADAPTER.dump_json(results, indent=1) + b"\n")


def read(path: Path) -> Results:
    """Raises ValueError when the file is no evaluation of this schema."""
    results = _ADAPTER.validate_json(path.read_bytes())
    if results.schema != SCHEMA:
        raise ValueError(f"{path.name} is {results.schema}, not {SCHEMA}")
    return results
