"""Which lineup people are asked for when they name none, by a stated rule over an evaluation. Pure."""

from training.evaluation.results import Comparison, Interval, Lineup, Results

MAX_FALSE_ALARMS, MAX_WRONG = 0.01, 0.05  # what the thresholds promise
RULE = (
    "The default is the cheapest lineup (fewest parameters) that keeps its promises and that no dearer one "
    "surely beats. It keeps them when on no set from elsewhere the rate of reals called fake is surely "
    "above 1 %, or the share of wrong answers surely above 5 %. A dearer one beats it when its AUC is surely "
    "higher on a set from elsewhere, and surely lower on none. Sure is what the whole 95 % interval says."
)


def default_lineup(results: Results) -> str | None:
    """Its name; None when no lineup keeps its promises, or no set is from elsewhere."""
    if not any(one.elsewhere for one in results.sets):
        return None
    cost = {model.name: model.parameters for model in results.models}
    steady = sorted(
        (lineup for lineup in results.lineups if keeps_promises(results, lineup)),
        key=lambda lineup: sum(cost[member] for member in lineup.members),
    )
    chosen = None
    for dearer in steady:
        if chosen is None or beats(results, dearer.name, chosen):
            chosen = dearer.name
    return chosen


def keeps_promises(results: Results, lineup: Lineup) -> bool:
    """Whether no set from elsewhere speaks surely against it."""
    summaries = [one.summary(lineup.name) for one in results.sets if one.elsewhere]
    return not any(
        _surely_above(item.false_alarms, MAX_FALSE_ALARMS) or _surely_above(item.wrong_answers, MAX_WRONG)
        for item in summaries
    )


def beats(results: Results, name: str, other: str) -> bool:
    """Surely higher AUC than `other` on a set from elsewhere, surely lower on none."""
    gains = [
        (item.auc.low, item.auc.high) if item.second == name else (-item.auc.high, -item.auc.low)
        for item in results.comparisons
        if {item.first, item.second} == {name, other} and _is_elsewhere(results, item)
    ]
    return any(low > 0 for low, _ in gains) and not any(high < 0 for _, high in gains)


def _is_elsewhere(results: Results, item: Comparison) -> bool:
    return results.set(item.set).elsewhere


def _surely_above(rate: Interval | None, promised: float) -> bool:
    return rate is not None and rate.low > promised
