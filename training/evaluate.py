"""Measure models and ensembles on labelled videos, judged as the Space judges them.

    python -m training.evaluate --model mobilenet-gru --model runs/new --set c23=DIR --set c40=DIR --out OUT

--model is what `python -m unmask check --model` takes, after `LABEL=` where two would have the same name.
Several models are measured each alone, all together, and in the groups that --ensemble names (A+B).
--set names a folder with `manifest.tsv`: videos, windows of face crops (`frames.tar`), or shards of stored
clips; rows of the split "train" are never read. A column `group_label` gives a table by group.

Prints tables, cross-dataset ones first, and writes OUT/results.json: a row a video, the metrics with 95 % intervals
(people drawn with replacement), and paired comparisons; `training.evaluation.figures` and `training.release.card` read
it. A set is called a development set unless --held-out says that nothing was ever chosen by it. With --cache, found
faces are kept, and another model of the same geometry takes seconds. With --robustness a part of every set is measured
again under each condition of `training.evaluation.corruptions.GRID`.
"""

import argparse
import datetime
import functools
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.evaluation import metrics, tables
from training.evaluation.corruptions import CLEAN, GRID, Condition
from training.evaluation.eval_sets import EvaluationSet, Example, FoundClips, SamplingSpec, open_set, subset
from training.evaluation.results import (
    Answer,
    EnsembleRecord,
    ModelRecord,
    Results,
    RobustnessPoint,
    SetResult,
    VideoRow,
    write,
)
from unmask.compute import Backend, ComputeOptions, choose_backend
from unmask.errors import UnmaskError
from unmask.evidence import Evidence
from unmask.faces.clips import recompressed
from unmask.faces.detector import FaceFinder
from unmask.models import inference
from unmask.models.inference import LoadedModel
from unmask.verdict import ClipScore, Policy, Rescore, ensemble_policy, judge, judge_one_pass
from unmask.video.sampling import WINDOWS, DecodePlan, plan_windows

ALL_SETS = ""  # of --limit


@dataclass(frozen=True)
class Ensemble:
    """One model, or several that answer together, by one policy."""

    name: str
    models: tuple[LoadedModel, ...]

    @property
    def policy(self) -> Policy:
        """Return the policy of the models together."""
        return ensemble_policy([model.policy for model in self.models])

    def record(self) -> EnsembleRecord:
        """Return what the results say of it."""
        policy = self.policy
        return EnsembleRecord(self.name, tuple(m.name for m in self.models), policy.real_below, policy.fake_above)


@dataclass(frozen=True)
class Task:
    """What is measured: examples of a set, in so many windows, corrupted or not."""

    examples: tuple[Example, ...]
    windows: int = WINDOWS
    condition: Condition = CLEAN


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line names."""
    arguments = _parser().parse_args(argv)
    backend = choose_backend(ComputeOptions(device=arguments.device))
    models = load_models(arguments.model or ["default"], backend)
    ensembles = make_ensembles(models, arguments.ensemble)
    finder = FaceFinder(backend)
    folders = dict(map(_named, arguments.set))
    sets = {name: open_set(folder, finder, arguments.cache) for name, folder in folders.items()}
    limits = dict(map(_limit, arguments.limit))
    _need_known("limit", set(limits) - {ALL_SETS}, set(sets))
    chosen = choose(sets, dict(text.split("=", 1) for text in arguments.only), limits)
    _need_known("seen", set(arguments.seen), set(sets))
    _need_known("held-out", set(arguments.held_out), set(sets))
    measured = [
        replace(
            measure_set(name, folders[name], sets[name], ensembles, chosen[name]),
            seen=name in arguments.seen,
            held_out=name in arguments.held_out,
        )
        for name in sets
    ]
    ordered = sorted(measured, key=lambda one: not one.is_cross_dataset)
    part = (arguments.robustness_videos, arguments.robustness_windows)
    robustness = measure_robustness(sets, chosen, ensembles, *part) if arguments.robustness else ()
    records = tuple(ensemble.record() for ensemble in ensembles)
    results = Results(
        command=command(arguments),
        day=datetime.datetime.now(datetime.UTC).date().isoformat(),
        models=tuple(map(_record, models)),
        ensembles=records,
        sets=tuple(ordered),
        comparisons=tuple(tables.comparisons(ordered, records)),
        robustness=tuple(robustness),
    )
    print(tables.text(results))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write(results, arguments.out / "results.json")
        print(f"\nwritten: {arguments.out / 'results.json'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", action="append", metavar="[LABEL=]NAME", help="may be given several times; else: default")
    add("--ensemble", action="append", default=[], metavar="A+B", help="models that answer together, too")
    add("--set", action="append", required=True, metavar="NAME=DIR", help="may be given several times")
    add("--only", action="append", default=[], metavar="NAME=ID,ID", help="of a set, these videos alone")
    add("--seen", action="append", default=[], metavar="NAME", help="a set that was used in part for training")
    add("--held-out", action="append", default=[], metavar="NAME", help="a set by which nothing was ever chosen")
    add("--out", type=Path, help="folder for results.json")
    add("--cache", type=Path, help="folder where found faces are kept: about 5 MB a video")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="[NAME=]N",
        help="at most so many videos of every set, or of one, reals and fakes half and half",
    )
    add("--device", help="else: cuda where there is one")
    add("--robustness", action="store_true", help="the robustness grid, on sets that have reals and fakes")
    add("--robustness-videos", type=int, default=24, help="of each set; default: 24")
    add("--robustness-windows", type=int, default=2, help=f"of each video, at most {WINDOWS}; default: 2")
    return parser


def _named(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and (Path(folder) / "manifest.tsv").is_file()):
        raise SystemExit(f"--set {text}: give NAME=DIR, where DIR holds a manifest.tsv")
    return name, Path(folder)


def _limit(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition("=")
    return name or ALL_SETS, int(count)


def command(arguments: argparse.Namespace) -> str:
    """Return the options that decide the numbers, paths cut to their last part."""
    parts = [["--model", _without_path(text)] for text in arguments.model or ()]
    for name in ("ensemble", "only", "seen", "held-out", "limit"):
        parts += [[f"--{name}", text] for text in getattr(arguments, name.replace("-", "_"))]
    parts += [["--set", _without_path(text)] for text in arguments.set]
    if arguments.robustness:
        videos, windows = str(arguments.robustness_videos), str(arguments.robustness_windows)
        parts.append(["--robustness", "--robustness-videos", videos, "--robustness-windows", windows])
    return " ".join(["python -m training.evaluate", *map(shlex.join, parts)])


def _without_path(text: str) -> str:
    """Cut `[NAME=]PATH` to `[NAME=]last part`; a name on the Hub stays whole."""
    label, separator, value = text.rpartition("=")
    is_path = Path(value).exists() or value.count("/") != 1
    return f"{label}{separator}{Path(value).name if is_path else value}"


def load_models(texts: Sequence[str], backend: Backend) -> list[LoadedModel]:
    """Load models named `[LABEL=]NAME`, called by their labels. Raises SystemExit where two have one label."""
    models = []
    for text in texts:
        label, separator, name = text.rpartition("=")
        model = inference.load(name, backend)
        models.append(replace(model, info=replace(model.info, name=label)) if separator else model)
    labels = [model.name for model in models]
    if len(set(labels)) < len(labels):
        raise SystemExit(f"Two models have the same name: {', '.join(labels)}. Give each as LABEL=NAME.")
    return models


def make_ensembles(models: Sequence[LoadedModel], ensembles: Sequence[str]) -> list[Ensemble]:
    """Make ensembles of each model alone, of all, and those named. Raises SystemExit for an unknown label."""
    known = {model.name: model for model in models}
    names = [[model.name] for model in models] + [list(known)] + [text.split("+") for text in ensembles]
    unknown = {label for labels in names for label in labels} - set(known)
    if unknown:
        raise SystemExit(f"--ensemble names no model that was given: {', '.join(sorted(unknown))}")
    different = dict.fromkeys(tuple(label for label in known if label in labels) for labels in names)
    return [Ensemble("+".join(labels), tuple(known[label] for label in labels)) for labels in different]


def _record(model: LoadedModel) -> ModelRecord:
    info = model.info
    return ModelRecord(info.name, info.revision, info.parameters, info.size_bytes)


# --- one set


def choose(
    sets: Mapping[str, EvaluationSet], only: Mapping[str, str], limits: Mapping[str, int]
) -> dict[str, tuple[Example, ...]]:
    """Choose what is measured of every set. Raises SystemExit for a set or a video that does not exist."""
    _need_known("only", set(only), set(sets))
    chosen = {}
    for name, found in sets.items():
        examples = found.examples
        if name in only:
            wanted = set(only[name].split(","))
            _need_known("only", wanted, {example.id for example in examples})
            examples = tuple(example for example in examples if example.id in wanted)
        if not examples:
            raise SystemExit(f"{name}: there is nothing to measure on; rows of the split train are not read")
        limit = limits.get(name, limits.get(ALL_SETS))
        chosen[name] = examples if limit is None else subset(examples, limit)
    return chosen


def _need_known(option: str, asked: set[str], known: set[str]) -> None:
    if asked - known:
        raise SystemExit(f"--{option}: there is no {', '.join(sorted(asked - known))}")


def measure_set(
    name: str, folder: Path, found: EvaluationSet, ensembles: Sequence[Ensemble], examples: tuple[Example, ...]
) -> SetResult:
    """Judge the videos of one set and summarise. Raises SystemExit when none can be read."""
    rows, unreadable = judge_examples(found, Task(examples), ensembles, name)
    if not rows:
        raise SystemExit(f"{name}: no video of it can be read")
    splits = tuple(sorted({example.split for example in examples}))
    summaries = tuple(tables.summarise(rows, ensemble.name) for ensemble in ensembles)
    return SetResult(name, folder.resolve().name, splits, False, unreadable, tuple(rows), summaries)


def judge_examples(
    found: EvaluationSet, task: Task, ensembles: Sequence[Ensemble], title: str
) -> tuple[list[VideoRow], tuple[str, ...]]:
    """Judge every example by every ensemble -> rows, and the ids of what could not be read."""
    answers: dict[str, dict[str, Answer]] = defaultdict(dict)
    unreadable: dict[str, None] = {}
    for plan, together in _by_plan(ensembles, task.windows).items():
        models = tuple({model.name: model for ensemble in together for model in ensemble.models}.values())
        sampling = SamplingSpec(plan, tuple(dict.fromkeys(model.spec for model in models)), task.condition)
        with tqdm(task.examples, desc=title, unit="video", mininterval=5) as bar:
            for some in _batches(task.examples, found.examples_per_batch):
                people = {example: seen for example in some if (seen := _look(found, example, sampling))}
                unreadable |= {example.id: None for example in some if example not in people}
                scored = score_all(models, list(people.values()))
                for (example, seen), scores in zip(people.items(), scored, strict=True):
                    rescore = make_rescore(models, seen)
                    answers[example.id] |= {
                        ensemble.name: answer(ensemble, scores, seen.excluded, rescore) for ensemble in together
                    }
                bar.update(len(some))
    rows = [_row(example, answers[example.id]) for example in task.examples if example.id not in unreadable]
    return rows, tuple(unreadable)


def _by_plan(ensembles: Sequence[Ensemble], windows: int) -> Mapping[DecodePlan, list[Ensemble]]:
    """Group the ensembles that decode the same frames: what their models together want."""
    plans: dict[DecodePlan, list[Ensemble]] = defaultdict(list)
    for ensemble in ensembles:
        plans[replace(plan_windows([model.spec for model in ensemble.models]), windows=windows)].append(ensemble)
    return plans


def _batches(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    return (examples[start : start + size] for start in range(0, len(examples), size))


def _look(found: EvaluationSet, example: Example, sampling: SamplingSpec) -> FoundClips | None:
    """Find the clips of an example. Return None, and say why, when the video cannot be read."""
    try:
        return found.find(example, sampling)
    except UnmaskError as error:
        tqdm.write(f"{example.id}: {error.code}: {error.message}", file=sys.stderr)
        return None


def score_all(models: Sequence[LoadedModel], people: Sequence[FoundClips]) -> list[list[ClipScore]]:
    """Score every clip of every example by every model; one list for each of `people`."""
    scores: list[list[ClipScore]] = [[] for _ in people]
    for model in models:
        owned = [(index, clip) for index, seen in enumerate(people) for clip in seen.clips[model.spec]]
        logits = model.logits([clip for _, clip in owned])
        for (index, clip), logit in zip(owned, logits, strict=True):
            scores[index].append(inference.clip_score(model, clip, logit))
    return scores


def make_rescore(models: Sequence[LoadedModel], seen: FoundClips) -> Rescore:
    """Return what scores faces after a mild re-compression by every model, each face once for all ensembles."""

    @functools.cache
    def score_face(face: int) -> list[ClipScore]:
        clips = {
            spec: tuple(recompressed(clip) for clip in some if clip.track_id == face)
            for spec, some in seen.clips.items()
        }
        return score_all(models, [FoundClips(clips, ())])[0]

    return lambda faces: [item for face in sorted(faces) for item in score_face(face)]


def _own(ensemble: Ensemble, scores: Iterable[ClipScore]) -> list[ClipScore]:
    members = {model.name for model in ensemble.models}
    return [item for item in scores if item.model in members]


def answer(ensemble: Ensemble, scores: Iterable[ClipScore], excluded: Sequence[str], rescore: Rescore) -> Answer:
    """Judge one example as the Space does, and as it would if it never abstained."""
    policy, own = ensemble.policy, _own(ensemble, scores)
    shown = judge(own, policy, lambda faces: _own(ensemble, rescore(faces)), excluded)
    lenient = replace(policy, min_frames=0, min_clips=0, min_sharpness=0.0, max_disagreement=1.0, max_contrary=2.0)
    uncapped = judge_one_pass(own, lenient, excluded).probability_fake
    return Answer(shown.label, shown.probability_fake, uncapped, mean_of_frames(own), grade_name(shown.evidence))


def grade_name(evidence: Evidence | None) -> str:
    """Return one of GRADES."""
    if evidence is None:
        return "no_face"
    return "none" if evidence.direction == "none" else f"{evidence.strength} {evidence.direction}"


def mean_of_frames(scores: Sequence[ClipScore]) -> float | None:
    """Compute DeepfakeBench's video score of the face seen in most frames; a frame has the score of its clip."""
    seen: dict[int, int] = defaultdict(int)
    for item in scores:
        seen[item.track_id] += item.frames
    if not seen:
        return None
    main = max(seen, key=lambda track: seen[track])
    own = [item for item in scores if item.track_id == main]
    return float(np.average([item.probability_fake for item in own], weights=[item.frames for item in own]))


def _row(example: Example, answers: Mapping[str, Answer]) -> VideoRow:
    return VideoRow(example.id, example.fake, example.method, example.group, example.group_label, dict(answers))


# --- robustness


def measure_robustness(
    sets: Mapping[str, EvaluationSet],
    chosen: Mapping[str, tuple[Example, ...]],
    ensembles: Sequence[Ensemble],
    videos: int,
    windows: int,
) -> Iterator[RobustnessPoint]:
    """Measure a part of every set that has reals and fakes, first as it is, then under each condition."""
    for name, found in sets.items():
        examples = subset(chosen[name], videos)
        if len({example.fake for example in examples}) < 2:
            continue
        for condition in (CLEAN, *GRID):
            title = f"{name}, {condition.kind} {condition.level:g}"
            rows, _ = judge_examples(found, Task(examples, windows, condition), ensembles, title)
            yield from (_point(name, ensemble.name, condition, rows) for ensemble in ensembles)


def _point(name: str, ensemble: str, condition: Condition, rows: Sequence[VideoRow]) -> RobustnessPoint:
    said = [(row.answers[ensemble], row.fake) for row in rows]
    fake, groups = tables.labels_of(rows), [row.group for row in rows]
    return RobustnessPoint(
        set=name,
        ensemble=ensemble,
        kind=condition.kind,
        level=condition.level,
        videos=len(rows),
        with_face=sum(item.probability_fake is not None for item, _ in said),
        auc=metrics.bootstrap(metrics.auc, tables.scores_of(rows, ensemble), fake, groups, tables.DRAWS),
        answered=sum(item.answered for item, _ in said) / len(rows),
        wrong=sum(item.answered and (item.label == "fake") != fake for item, fake in said) / len(rows),
    )


if __name__ == "__main__":
    main()
