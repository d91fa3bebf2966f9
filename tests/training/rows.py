"""Made-up evaluations: rows as a detector of known strength would leave them."""

import functools
from bisect import bisect

import numpy as np

from training.evaluation import tables
from training.evaluation.results import (
    GRADES,
    Answer,
    EnsembleRecord,
    ModelRecord,
    Results,
    RobustnessPoint,
    SetResult,
    VideoRow,
)
from unmask.verdict import Policy

DRAWS = 50
POLICY = Policy(real_below=0.2, fake_above=0.8)


def answer(probability):
    if probability is None:
        return Answer("no_face", None, None, None)
    edges = (0.05, 0.2, 0.35, 0.65, 0.8, 0.95)
    return Answer(
        POLICY.label(probability), probability, probability, probability, GRADES[6 - bisect(edges, probability)]
    )


def rows(strengths, count=40, seed=0, methods=("swap", "mask")):
    """`strengths`: ensemble -> how far apart it sees reals and fakes; 0 is chance."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        fake = index % 2 == 1
        common = rng.normal()
        answers = {
            name: answer(float(1 / (1 + np.exp(-(common + (fake - 0.5) * gap))))) for name, gap in strengths.items()
        }
        method = methods[index // 2 % len(methods)] if fake else "real"
        made.append(
            VideoRow(f"v{index}", fake, method, f"p{index // 2}", "dark" if index % 4 < 2 else "light", answers)
        )
    return made


def set_result(name, made, splits=("test",)):
    ensembles = list(made[0].answers)
    return SetResult(
        name,
        f"{name}-folder",
        splits,
        False,
        (),
        tuple(made),
        tuple(tables.summarise(made, ensemble, DRAWS) for ensemble in ensembles),
    )


@functools.cache
def results():
    """An evaluation of two models and their ensemble on two sets, one of them a development set."""
    strengths = {"small": 2.0, "large": 3.0, "small+large": 3.5}
    sets = (set_result("other", rows(strengths)), set_result("home", rows(strengths, seed=1), ("val",)))
    ensembles = tuple(
        EnsembleRecord(name, tuple(name.split("+")), POLICY.real_below, POLICY.fake_above) for name in strengths
    )
    return Results(
        command="python -m training.evaluate --set other=other-folder",
        day="2026-01-02",
        models=tuple(
            ModelRecord(name, f"{name:0<12}"[:12], 2_500_000, 5_000_000) for name in strengths if "+" not in name
        ),
        ensembles=ensembles,
        sets=sets,
        comparisons=tuple(tables.comparisons(sets, ensembles, DRAWS)),
        robustness=tuple(
            RobustnessPoint("other", ensemble.name, kind, level, 24, 24, sets[0].summaries[0].metrics["auc"], 0.5, 0.1)
            for ensemble in ensembles
            for kind, level in (("clean", 0), ("jpeg", 90), ("jpeg", 30), ("blur", 2))
        ),
    )
