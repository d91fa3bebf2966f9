"""Draw the figures of an evaluation, for the model card and the README.

    python -m training.evaluation.figures --results OUT [--model mobilenet-gru] [--figures DIR]

Reads OUT/results.json and writes PNG files, to OUT/figures unless --figures says otherwise. With --model,
once or several times, also heatmaps on the example clips of the Space, which come from a public-domain
photograph: no face of a data set is ever shown.
"""

import argparse
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation import metrics
from training.evaluation.results import Results, RobustnessPoint, SetResult, read
from training.evaluation.tables import ORDER, labels_of, scores_of
from unmask.faces.clips import FaceClip
from unmask.faces.detector import FaceFinder
from unmask.faces.subjects import find_subjects
from unmask.models import checkpoint, inference, saliency
from unmask.models.inference import LoadedModel
from unmask.verdict import to_probability
from unmask.verdict_text import SHOWN_LABEL, percent
from unmask.video.decode import decode
from unmask.video.sampling import DecodePlan

# Okabe & Ito: told apart with every kind of colour vision
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
REAL_COLOR, FAKE_COLOR, BAND_COLOR = "#56B4E9", "#D55E00", "#DDDDDD"
PANEL_INCHES = (3.6, 3.4)
DPI = 110
HISTOGRAM_BINS = 20
EXAMPLES = Path(checkpoint.__file__).parents[2] / "examples"
SHOWN_EXAMPLES = {"photograph.mp4": "a photograph that moves", "blended-face.mp4": "the same, face blended"}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder that holds results.json")
    parser.add_argument("--figures", type=Path, help="folder for the pictures")
    parser.add_argument("--model", action="append", default=[], help="for heatmaps; may be given several times")
    arguments = parser.parse_args(argv)
    out = arguments.figures or arguments.results / "figures"
    drawn = draw_all(read(arguments.results / "results.json"))
    if arguments.model:
        models = [inference.load(name) for name in arguments.model]
        drawn["heatmaps"] = heatmaps(models, EXAMPLES)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figure.savefig(out / f"{name}.png", dpi=DPI)
        print(out / f"{name}.png")


def draw_all(results: Results) -> dict[str, Figure]:
    """Draw every figure that the results suffice for -> figures by name."""
    makers: dict[str, Callable[[Results], Figure]] = {
        "cross-dataset": cross_dataset,
        "answers": answers,
        "reliability": reliability,
        "scores": score_histograms,
    }
    if _with_both(results):
        makers |= {"roc": roc, "risk-coverage": risk_coverage}
    if results.robustness:
        makers["robustness"] = robustness
    return {name: make(results) for name, make in makers.items()}


# --- one figure each


def roc(results: Results) -> Figure:
    """Draw ROC curves: a panel a set, a curve an ensemble."""
    sets = _with_both(results)
    figure, panels = _panels(1, len(sets))
    for axes, one in zip(panels[0], sets, strict=True):
        axes.plot([0, 1], [0, 1], color=BAND_COLOR, linewidth=1)
        for color, ensemble in _colored(results):
            curve = metrics.roc(scores_of(one.rows, ensemble), labels_of(one.rows))
            area = one.summary(ensemble).metrics["auc"]
            axes.plot(curve.false_positive, curve.true_positive, color=color, label=f"{ensemble} {area}")
        _label(axes, _title(one), "reals called fake", "fakes found")
        axes.legend(loc="lower right", fontsize=6, title="AUC (95 %)", title_fontsize=6)
    return figure


def answers(results: Results) -> Figure:
    """Draw what reals and fakes are called: a row of matrices an ensemble, a column a set."""
    figure, panels = _panels(len(results.ensembles), len(results.sets), (3.6, 1.9))
    for row, ensemble in zip(panels, results.ensembles, strict=True):
        for axes, one in zip(row, results.sets, strict=True):
            whole = one.summary(ensemble.name).whole
            counts = np.array([[labels[name] for name in ORDER] for labels in (whole.real_labels, whole.fake_labels)])
            _matrix(axes, counts / np.maximum(counts.sum(1, keepdims=True), 1), counts.astype(str))
            axes.set_xticks(range(len(ORDER)), [textwrap.fill(SHOWN_LABEL[name], 11) for name in ORDER])
            axes.set_yticks([0, 1], ["real", "fake"])
            axes.set_title(f"{one.name}, {ensemble.name}", fontsize=8)
    return figure


def reliability(results: Results) -> Figure:
    """Draw the shown probability against the share of fakes; the size of a point is its share of the videos."""
    figure, panels = _panels(1, len(results.sets))
    for axes, one in zip(panels[0], results.sets, strict=True):
        axes.plot([0, 1], [0, 1], color=BAND_COLOR, linewidth=1)
        for color, ensemble in _colored(results):
            bins = metrics.reliability(scores_of(one.rows, ensemble), labels_of(one.rows))
            said, found = ([getattr(item, name) for item in bins] for name in ("said", "found"))
            sizes = [10 + 150 * item.count / len(one.rows) for item in bins]
            axes.plot(said, found, color=color, linewidth=0.8)
            axes.scatter(said, found, sizes, color=color, alpha=0.7, label=ensemble)
        _label(axes, _title(one), "probability shown", "share that is fake")
        axes.legend(fontsize=6)
    return figure


def score_histograms(results: Results) -> Figure:
    """Draw histograms of the shown probabilities, and the band in which no answer is given."""
    figure, panels = _panels(len(results.ensembles), len(results.sets), (3.6, 2.3))
    edges = [index / HISTOGRAM_BINS for index in range(HISTOGRAM_BINS + 1)]
    for row, ensemble in zip(panels, results.ensembles, strict=True):
        for axes, one in zip(row, results.sets, strict=True):
            scores, fake = scores_of(one.rows, ensemble.name), labels_of(one.rows)
            axes.axvspan(ensemble.real_below, ensemble.fake_above, color=BAND_COLOR, alpha=0.5, linewidth=0)
            for kind, color, name in ((~fake, REAL_COLOR, "real"), (fake, FAKE_COLOR, "fake")):
                axes.hist(scores[kind], edges, color=color, alpha=0.65, label=f"{name} ({kind.sum()})")
            axes.set_title(f"{one.name}, {ensemble.name}", fontsize=8)
            axes.set_xlabel("probability shown (grey: not sure)", fontsize=7)
            axes.legend(fontsize=6)
    return figure


def risk_coverage(results: Results) -> Figure:
    """Draw the share of wrong answers against the share of videos answered; a dot is where the thresholds are."""
    sets = _with_both(results)
    figure, panels = _panels(1, len(sets))
    for axes, one in zip(panels[0], sets, strict=True):
        for color, ensemble in _colored(results):
            curve = metrics.risk_coverage(scores_of(one.rows, ensemble), labels_of(one.rows))
            axes.plot(curve.coverage, curve.risk, color=color, label=ensemble, drawstyle="steps-post")
            summary = one.summary(ensemble)
            if summary.wrong_answers is not None:
                axes.plot(1 - summary.abstained.value, summary.wrong_answers.value, "o", color=color)
        _label(axes, _title(one), "share of videos answered", "share of the answers that is wrong")
        axes.set_ylim(-0.02, 0.62)
        axes.legend(fontsize=6)
    return figure


def robustness(results: Results) -> Figure:
    """Draw AUC against the strength of each corruption: a column a kind, a row a set."""
    points = results.robustness
    sets = list(dict.fromkeys(point.set for point in points))
    kinds = [kind for kind in dict.fromkeys(point.kind for point in points) if kind != "clean"]
    figure, panels = _panels(len(sets), len(kinds), (2.5, 2.5))
    for row, name in zip(panels, sets, strict=True):
        for axes, kind in zip(row, kinds, strict=True):
            for color, ensemble in _colored(results):
                own = [item for item in points if (item.set, item.ensemble) == (name, ensemble)]
                _robustness_curve(axes, own, kind, color, ensemble)
            axes.axhline(0.5, color=BAND_COLOR, linewidth=1)
            axes.set_ylim(0.3, 1.02)
            axes.set_title(f"{name}: {kind}", fontsize=8)
        row[0].set_ylabel("AUC (shade: 95 %)", fontsize=7)
        row[0].legend(fontsize=6)
    return figure


def _robustness_curve(axes: Axes, points: Sequence[RobustnessPoint], kind: str, color: str, label: str) -> None:
    """Draw uncorrupted frames first, then levels in the order of the grid, evenly spaced."""
    shown = [item for item in points if item.kind == "clean"] + [item for item in points if item.kind == kind]
    places = range(len(shown))
    axes.plot(places, [item.auc.value for item in shown], "o-", color=color, label=label, markersize=3)
    low, high = [item.auc.low for item in shown], [item.auc.high for item in shown]
    axes.fill_between(places, low, high, color=color, alpha=0.12, linewidth=0)
    names = ["clean" if item.kind == "clean" else f"{item.level:g}" for item in shown]
    axes.set_xticks(places, names, fontsize=7)


def cross_dataset(results: Results) -> Figure:
    """Draw the AUC of every ensemble on every set; where there are no fakes, the share of false alarms."""
    values = np.full((len(results.ensembles), len(results.sets)), np.nan)
    texts = np.full(values.shape, "–", dtype=object)
    for row, ensemble in enumerate(results.ensembles):
        for column, one in enumerate(results.sets):
            summary = one.summary(ensemble.name)
            area = summary.metrics.get("auc")
            if area is not None:
                values[row, column] = area.value
                texts[row, column] = f"{area.value:.3f}\n{area.low:.2f}–{area.high:.2f}"
            elif summary.false_alarms is not None:
                texts[row, column] = f"{summary.false_alarms.value:.0%} of reals\ncalled fake"
    figure, panels = _panels(1, 1, (1.6 + 1.6 * len(results.sets), 1.2 + 0.65 * len(results.ensembles)))
    axes = panels[0][0]
    _matrix(axes, (values - 0.5) * 2, texts)
    axes.set_xticks(range(len(results.sets)), [_title(one) for one in results.sets], fontsize=7)
    axes.set_yticks(range(len(results.ensembles)), [ensemble.name for ensemble in results.ensembles], fontsize=7)
    axes.set_title("Video AUC (95 %)", fontsize=9)
    return figure


def heatmaps(models: Sequence[LoadedModel], examples: Path) -> Figure:
    """Draw heatmaps of the example clips: the face, and what the score of the clip depends on."""
    figure, panels = _panels(len(SHOWN_EXAMPLES), 1 + len(models), (2.4, 2.6))
    finder = FaceFinder()
    for row, (name, title) in zip(panels, SHOWN_EXAMPLES.items(), strict=True):
        clips = [first_clip(examples / name, model, finder) for model in models]
        _picture(row[0], clips[0].data[0], title)
        for axes, model, clip in zip(row[1:], models, clips, strict=True):
            logit = float(model.logits([clip])[0])
            said = percent(to_probability(model.calibration.log_odds(logit)))
            painted = saliency.paint(clip.data[0], saliency.heatmap(model, clip)[0])
            _picture(axes, painted, f"{model.name}: {said}")
    return figure


def first_clip(video: Path, model: LoadedModel, finder: FaceFinder) -> FaceClip:
    """Find the first clip of the first face, as a check does."""
    plan = DecodePlan(1, model.spec.frames_per_clip, model.spec.frame_stride_seconds)
    return find_subjects(decode(video, plan), finder, [model.spec]).subjects[0].clips[model.spec][0]


# --- parts of figures


def _with_both(results: Results) -> list[SetResult]:
    return [one for one in results.sets if len({row.fake for row in one.rows}) == 2]


def _colored(results: Results) -> Iterator[tuple[str, str]]:
    """Yield (colour, name) of every ensemble; more than seven share colours."""
    return ((COLORS[i % len(COLORS)], ensemble.name) for i, ensemble in enumerate(results.ensembles))


def _title(one: SetResult) -> str:
    return one.name if one.is_cross_dataset else f"{one.name} ({'seen' if one.seen else ', '.join(one.splits)})"


def _panels(rows: int, columns: int, inches: tuple[float, float] = PANEL_INCHES) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with a grid of axes, `inches` (wide, high) each."""
    figure = Figure(figsize=(inches[0] * columns, inches[1] * rows), layout="constrained")
    grid: list[list[Axes]] = figure.subplots(rows, columns, squeeze=False).tolist()
    for axes in (axes for row in grid for axes in row):
        axes.tick_params(labelsize=7)
    return figure, grid


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


def _matrix(axes: Axes, shades: npt.NDArray[np.float64], texts: npt.NDArray[np.generic]) -> None:
    """Draw numbers on a grid, darker where `shades` in 0..1 is higher; NaN is white."""
    axes.imshow(np.nan_to_num(shades), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), text in np.ndenumerate(texts):
        ink = "white" if shades[row, column] > 0.6 else "black"
        axes.text(column, row, str(text), ha="center", va="center", fontsize=8, color=ink)


def _picture(axes: Axes, image: npt.NDArray[np.uint8], title: str) -> None:
    axes.imshow(image)
    axes.set_title(title, fontsize=8)
    axes.axis("off")


if __name__ == "__main__":
    main()
