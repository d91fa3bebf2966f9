"""Figures: one for everything the results hold, each with a panel a set, none of a face from a data set."""

import numpy as np
from matplotlib.colors import to_hex

from tests.training import rows as made_up
from tests.untrained import untrained_model
from training.evaluation import figures, metrics, tables
from training.evaluation.results import write
from unmask.models import inference


def test_every_figure_is_drawn_and_written(tmp_path, capsys):
    write(made_up.results(), tmp_path / "results.json")
    figures.main(["--results", str(tmp_path)])
    names = {"cross-dataset", "answers", "reliability", "scores", "roc", "risk-coverage", "robustness"}
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "figures").iterdir())
    assert capsys.readouterr().out.count(".png") == len(names)


def test_the_roc_curve_of_a_panel_has_the_area_that_is_quoted():
    results = made_up.results()
    panels = figures.roc(results).axes
    assert [axes.get_title() for axes in panels] == ["other", "home (val)"]
    for axes, one in zip(panels, results.sets, strict=True):
        curves = [line for line in axes.lines if to_hex(line.get_color()) != figures.BAND_COLOR.lower()]
        for curve, ensemble in zip(curves, results.ensembles, strict=True):
            area = np.trapezoid(curve.get_ydata(), curve.get_xdata())
            assert area == metrics.auc(tables.scores_of(one.rows, ensemble.name), tables.labels_of(one.rows))


def test_heatmaps_are_drawn_on_the_public_domain_examples(tmp_path):
    model = inference.load(str(untrained_model(tmp_path / "m", "small")))
    figure = figures.heatmaps([model], figures.EXAMPLES)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(":")[0] for title in titles] == [
        "a photograph that moves",
        "small",
        "the same, face blended",
        "small",
    ]
    plain, painted = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    assert plain.shape == painted.shape == (64, 64, 3)
    assert not np.array_equal(plain, painted)
