"""Choose the default model by validation results alone. Pure functions."""

from training.evaluation.results import EnsembleRecord, Interval, Results

MAX_FALSE_ALARMS, MAX_WRONG = 0.01, 0.05  # what the thresholds are fitted to
MIN_GAIN = 0.01  # in AUC: less is not worth a larger model
RULE = (
    "The default is the smallest model or ensemble (fewest parameters) that meets its targets and that no larger one "
    f"beats, by validation sets alone; development sets have no part in it. The targets are met unless the rate of "
    f"reals called fake is above {MAX_FALSE_ALARMS:.0%}, or the share of wrong answers above {MAX_WRONG:.0%}, with "
    f"their whole 95 % intervals. A larger one beats it when the 95 % interval of its gain in AUC lies above "
    f"{MIN_GAIN} on a validation set, and below zero on none."
)


def default_ensemble(results: Results) -> str | None:
    """Return the name of the default by RULE; None when no ensemble meets its targets, or there is no validation."""
    if not any(one.is_validation for one in results.sets):
        return None
    parameters = {model.name: model.parameters for model in results.models}
    candidates = sorted(
        (ensemble for ensemble in results.ensembles if meets_targets(results, ensemble)),
        key=lambda ensemble: sum(parameters[member] for member in ensemble.members),
    )
    chosen = None
    for larger in candidates:
        if chosen is None or beats(results, larger.name, chosen):
            chosen = larger.name
    return chosen


def meets_targets(results: Results, ensemble: EnsembleRecord) -> bool:
    """Return whether no validation set shows that an ensemble misses a target."""
    summaries = [one.summary(ensemble.name) for one in results.sets if one.is_validation]
    return not any(
        _is_above(item.false_alarms, MAX_FALSE_ALARMS) or _is_above(item.wrong_answers, MAX_WRONG) for item in summaries
    )


def beats(results: Results, name: str, other: str) -> bool:
    """Return whether an ensemble's AUC is higher by more than MIN_GAIN on a validation set, and lower on none."""
    gains = [
        (item.auc.low, item.auc.high) if item.second == name else (-item.auc.high, -item.auc.low)
        for item in results.comparisons
        if {item.first, item.second} == {name, other} and results.set(item.set).is_validation
    ]
    return any(low > MIN_GAIN for low, _ in gains) and not any(high < 0 for _, high in gains)


def _is_above(rate: Interval | None, target: float) -> bool:
    return rate is not None and rate.low > target
