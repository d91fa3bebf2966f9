"""Summarise the rows of an evaluation, and format summaries as text. Pure functions."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import median

import numpy as np

from training.evaluation import metrics
from training.evaluation.metrics import Labels, Scores
from training.evaluation.results import (
    GRADES,
    Answer,
    Comparison,
    Difference,
    EnsembleRecord,
    Interval,
    Part,
    Results,
    SetResult,
    Summary,
    VideoRow,
)

ORDER = ("fake", "uncertain", "real", "no_face")  # of labels in tables
HEADER = (
    *("", "AUC", "AP", "EER", "TPR@1%", "TPR@5%", "acc", "ECE", "ECE uncapped", "ECE answered", "wrong answers"),
    *("abstained", "reals: fake/?/real/none", "fakes: fake/?/real/none"),
)
DRAWS = 1000  # of a bootstrap: there are many intervals


# --- rows -> numbers


def labels_of(rows: Sequence[VideoRow]) -> Labels:
    """Return the labels (n,) of videos, True where fake."""
    return np.array([row.fake for row in rows])


def scores_of(
    rows: Sequence[VideoRow], ensemble: str, field: Callable[[Answer], float] = lambda answer: answer.score
) -> Scores:
    """Return the scores (n,) that an ensemble gives videos, by default the probabilities that are shown."""
    return np.array([field(row.answers[ensemble]) for row in rows], np.float64)


def summarise(rows: Sequence[VideoRow], ensemble: str, draws: int = DRAWS) -> Summary:
    """Summarise the answers of an ensemble on one set."""
    answers = [row.answers[ensemble] for row in rows]
    said = [answer.label for answer in answers]
    fakes, reals = sum(row.fake for row in rows), sum(not row.fake for row in rows)
    alarms = sum(label == "fake" and not row.fake for label, row in zip(said, rows, strict=True))
    missed = sum(label == "real" and row.fake for label, row in zip(said, rows, strict=True))
    answered = sum(answer.answered for answer in answers)
    return Summary(
        ensemble=ensemble,
        metrics=_metrics(rows, ensemble, draws),
        false_alarms=metrics.share(alarms, reals) if reals else None,
        missed=metrics.share(missed, fakes) if fakes else None,
        wrong_answers=metrics.share(alarms + missed, answered) if answered else None,
        abstained=metrics.share(len(rows) - answered, len(rows)),
        whole=part(rows, ensemble, draws),
        by_method={name: part(some, ensemble, draws) for name, some in _by_method(rows)},
        by_group={name: part(some, ensemble, draws) for name, some in _by_group(rows)},
        wrong_by_strength=dict(_wrong_by_strength(rows, ensemble)),
        leans_right=_leans_right(rows, ensemble),
    )


def _wrong_by_strength(rows: Sequence[VideoRow], ensemble: str) -> Iterator[tuple[str, Interval]]:
    """Yield each strength of evidence, and how often it leans the wrong way."""
    for strength in ("strong", "moderate", "weak"):
        leans = [(row.answers[ensemble].grade, row.fake) for row in rows]
        own = [(grade, fake) for grade, fake in leans if grade.startswith(f"{strength} ")]
        if own:
            yield strength, metrics.share(sum(grade.endswith("fake") != fake for grade, fake in own), len(own))


def _leans_right(rows: Sequence[VideoRow], ensemble: str) -> Interval | None:
    leans = [(row.answers[ensemble].grade, row.fake) for row in rows if " " in row.answers[ensemble].grade]
    return metrics.share(sum(grade.endswith("fake") == fake for grade, fake in leans), len(leans)) if leans else None


def _metrics(rows: Sequence[VideoRow], ensemble: str, draws: int) -> dict[str, Interval]:
    """Compute the metrics of what is shown, some of them also before abstaining, and ECE of the answers alone."""
    fake, groups = labels_of(rows), [row.group for row in rows]
    found: dict[str, Interval] = {}
    if 0 < fake.sum() < len(fake):
        found = metrics.intervals(metrics.measures, scores_of(rows, ensemble), fake, groups, draws)
        uncapped = scores_of(rows, ensemble, lambda answer: answer.uncapped_score)
        again = metrics.intervals(_auc_and_ece, uncapped, fake, groups, draws)
        found |= {f"{name}_uncapped": value for name, value in again.items()}
        found |= metrics.intervals(metrics.log_likelihood_ratio_costs, uncapped, fake, groups, draws)
        mean = scores_of(rows, ensemble, lambda answer: answer.mean_of_frames or answer.score)
        found["auc_mean_of_frames"] = metrics.bootstrap(metrics.auc, mean, fake, groups, draws)
    answered = [row for row in rows if row.answers[ensemble].answered]
    if answered:
        scores, fake = scores_of(answered, ensemble), labels_of(answered)
        groups = [row.group for row in answered]
        found |= metrics.intervals(_ece_answered, scores, fake, groups, draws, one_kind=True)
    return found


def _auc_and_ece(scores: Scores, fake: Labels) -> dict[str, float]:
    return {"auc": metrics.auc(scores, fake), "ece": metrics.calibration_error(scores, fake)}


def _ece_answered(scores: Scores, fake: Labels) -> dict[str, float]:
    return {"ece_answered": metrics.calibration_error(scores, fake)}


def part(rows: Sequence[VideoRow], ensemble: str, draws: int = DRAWS) -> Part:
    """Count the labels of some videos, with their AUC where there are reals and fakes."""
    fake = labels_of(rows)
    area = None
    if 0 < fake.sum() < len(fake):
        groups = [row.group for row in rows]
        area = metrics.bootstrap(metrics.auc, scores_of(rows, ensemble), fake, groups, draws)
    reals = [row.answers[ensemble] for row in rows if not row.fake]
    return Part(
        reals=len(reals),
        fakes=int(fake.sum()),
        auc=area,
        real_labels=_count(answer.label for answer in reals),
        fake_labels=_count(row.answers[ensemble].label for row in rows if row.fake),
        real_grades=_count((answer.grade for answer in reals), GRADES),
        fake_grades=_count((row.answers[ensemble].grade for row in rows if row.fake), GRADES),
        reals_called_fake=metrics.share(sum(answer.label == "fake" for answer in reals), len(reals)) if reals else None,
        real_median=median(answer.score for answer in reals) if reals else None,
    )


def _count(names: Iterable[str], order: Sequence[str] = ORDER) -> dict[str, int]:
    counted = Counter(names)
    return {name: counted[name] for name in order}


def _by_method(rows: Sequence[VideoRow]) -> Iterator[tuple[str, list[VideoRow]]]:
    """Yield each kind of fakes with all reals, and each kind of reals with all fakes, where there are several."""
    for kind in (True, False):
        methods = sorted({row.method for row in rows if row.fake == kind})
        if len(methods) > 1:
            for method in methods:
                yield method, [row for row in rows if row.fake != kind or row.method == method]


def _by_group(rows: Sequence[VideoRow]) -> Iterator[tuple[str, list[VideoRow]]]:
    for name in sorted({row.group_label for row in rows} - {""}):
        yield name, [row for row in rows if row.group_label == name]


def compare(rows: Sequence[VideoRow], first: str, second: str, draws: int = DRAWS) -> Difference:
    """Compute the AUC of the second ensemble minus that of the first, on the same videos."""
    return metrics.paired_bootstrap(
        metrics.auc,
        scores_of(rows, first),
        scores_of(rows, second),
        labels_of(rows),
        [row.group for row in rows],
        draws,
    )


def comparisons(
    sets: Sequence[SetResult], ensembles: Sequence[EnsembleRecord], draws: int = DRAWS
) -> Iterator[Comparison]:
    """Compare every pair of ensembles on every set that has reals and fakes."""
    for one in sets:
        if len({row.fake for row in one.rows}) == 2:
            for first, second in combinations([ensemble.name for ensemble in ensembles], 2):
                yield Comparison(one.name, first, second, compare(one.rows, first, second, draws))


# --- numbers -> text


def text(results: Results) -> str:
    """Format results as tables for a terminal."""
    blocks = [_set_text(one, results) for one in results.sets]
    if results.robustness:
        blocks.append(_robustness_text(results))
    return "\n\n".join(blocks)


def _set_text(one: SetResult, results: Results) -> str:
    fakes = sum(row.fake for row in one.rows)
    unread = f", {len(one.unreadable)} unreadable" if one.unreadable else ""
    title = f"{one.name}: {len(one.rows) - fakes} real, {fakes} fake{unread}, {one.role}"
    lines = [aligned(HEADER, [_row(item) for item in one.summaries]), _grades_text(one)]
    if one.summaries[0].by_method:
        lines.append(_parts("AUC by method", {item.ensemble: item.by_method for item in one.summaries}))
    if one.summaries[0].by_group:
        lines.append(_parts("AUC by group", {item.ensemble: item.by_group for item in one.summaries}))
    base = results.ensembles[0].name
    paired = [item for item in results.comparisons if item.set == one.name and item.first == base]
    lines += [f"  AUC of {item.second} over {item.first}: {item.auc}" for item in paired]
    return "\n".join([title, *lines])


def _grades_text(one: SetResult) -> str:
    """Format the grades of the evidence: strong, moderate, weak for fake; none; weak, moderate, strong for real."""
    header = ["evidence", "reals", "fakes", "wrong: strong", "moderate", "weak", "leans right"]
    rows = [
        [
            item.ensemble,
            *("/".join(map(str, grades.values())) for grades in (item.whole.real_grades, item.whole.fake_grades)),
            *(str(item.wrong_by_strength.get(strength, "–")) for strength in ("strong", "moderate", "weak")),
            str(item.leans_right or "–"),
        ]
        for item in one.summaries
    ]
    return aligned(header, rows)


def _row(item: Summary) -> list[str]:
    def short(name: str) -> str:
        return f"{item.metrics[name].value:.3f}" if name in item.metrics else "–"

    area = str(item.metrics["auc"]) if "auc" in item.metrics else "–"
    wrong = "–" if item.wrong_answers is None else f"{item.wrong_answers.value:.1%}"
    names = ["ap", "eer", "tpr_at_fpr_0.01", "tpr_at_fpr_0.05", "accuracy"]
    names += ["ece", "ece_uncapped", "ece_answered"]
    return [
        item.ensemble,
        area,
        *map(short, names),
        wrong,
        f"{item.abstained.value:.1%}",
        counts(item.whole.real_labels),
        counts(item.whole.fake_labels),
    ]


def counts(labels: Mapping[str, int]) -> str:
    """Format counts as fake/uncertain/real/no face."""
    return "/".join(str(labels[name]) for name in ORDER)


def _parts(title: str, by_ensemble: Mapping[str, Mapping[str, Part]]) -> str:
    names = list(next(iter(by_ensemble.values())))
    rows = [
        [ensemble, *("–" if parts[name].auc is None else str(parts[name].auc) for name in names)]
        for ensemble, parts in by_ensemble.items()
    ]
    return aligned([title, *names], rows)


def _robustness_text(results: Results) -> str:
    header = ["robustness", "set", "ensemble", "videos", "with face", "AUC", "answered", "wrong"]
    rows = [
        [
            f"{point.kind} {point.level:g}",
            point.set,
            point.ensemble,
            str(point.videos),
            str(point.with_face),
            str(point.auc),
            f"{point.answered:.0%}",
            f"{point.wrong:.0%}",
        ]
        for point in results.robustness
    ]
    return aligned(header, rows)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )
