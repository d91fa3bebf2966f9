"""Render model cards from stored evaluations, and check that every shipped model has its own.

    python -m training.release.card --model-folder MODEL [--results OUT] [--figures OUT/figures]
    python -m training.release.card --section README.md
    python -m training.release.card --check

The first renders `README.md` of a model folder from its `evaluation.json`, `config.json`,
`training.release.data_sources` and `training/runs/NAME.sh`; with --results, `evaluation.json` is first written from
OUT/results.json, and with --figures, pictures of the evaluation are copied beside it. The second renews two tables of
a file: that of the default model between the marks `<!-- evaluation -->` and `<!-- /evaluation -->`, and that of all
shipped models between `<!-- models -->` and `<!-- /models -->`. The third fails when a shipped model has no card, one
of other weights, without graded evidence or one that the template does not give, or when its evaluation chooses another
default model.
"""

import argparse
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from training.evaluation.results import GRADES, Difference, Interval, Results, SetResult, read, write
from training.release.data_sources import PUBLISHED, SOURCES, TRAINED, Trained
from training.release.model_selection import RULE, default_ensemble
from unmask.files import atomic_write
from unmask.models import bundled
from unmask.models.checkpoint import Origin

SHIPPED = bundled.FOLDER
EVALUATION = "evaluation.json"
RUNS = Path(__file__).parents[1] / "runs"
SCRIPT_LINK = "../../../../../training/runs/{}.sh"  # from a shipped model's folder
MEANING = "It says how probable it is that the face in a clip is a deepfake."
MARKS = ("<!-- evaluation -->", "<!-- /evaluation -->")
MODEL_MARKS = ("<!-- models -->", "<!-- /models -->")
LICENCE = re.compile(r"[a-z0-9.-]+")  # as the Hub names one
LABELS = ("fake", "uncertain", "real", "no_face")
FIGURES = {  # file: caption, in the order of the card
    "roc": "ROC curves",
    "answers": "What reals and fakes are called",
    "scores": "Shown probabilities; grey is the band in which no answer is given",
    "reliability": "Reliability: what the probability says against what is true",
    "risk-coverage": "Risk against coverage",
    "robustness": "Robustness to corruptions",
    "cross-dataset": "All models on all sets",
    "heatmaps": "Heatmaps on a public-domain photograph",
}
# by the Hub's names
METRICS = {"auc": "roc_auc", "ap": "average_precision", "eer": "equal_error_rate", "brier": "brier_score"}


@dataclass(frozen=True)
class ModelFolder:
    """The files of a model folder that its card is about."""

    path: Path
    config: Mapping[str, Any]
    revision: str  # start of the weight file's sha256, as unmask.models.checkpoint has it
    size_bytes: int

    @property
    def name(self) -> str:
        """Return the model's name."""
        return str(self.config["name"])

    @property
    def origin(self) -> Origin | None:
        """Return where weights come from that others published."""
        return Origin(**self.config["origin"]) if self.config.get("origin") else None


class CardError(Exception):
    """Raised when a card cannot be rendered; says why."""


def main(argv: Sequence[str] | None = None) -> None:
    """Render or check what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-folder", type=Path)
    parser.add_argument("--results", type=Path, help="folder that holds results.json")
    parser.add_argument("--figures", type=Path, help="folder that training.evaluation.figures wrote")
    parser.add_argument("--section", type=Path, help="file whose table of results is renewed")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    if not (arguments.check or arguments.model_folder or arguments.section):
        parser.error("give --check, --model-folder or --section")
    try:
        if arguments.check:
            found = problems(SHIPPED)
            if found:
                raise SystemExit("\n".join(found))
        if arguments.model_folder:
            print(write_card(arguments.model_folder, arguments.results, arguments.figures))
        if arguments.section:
            _, table, _ = _split_at_marks(SHIPPED / bundled.DEFAULT / "README.md", MARKS)
            renew_section(arguments.section, MARKS, table)
            renew_section(arguments.section, MODEL_MARKS, models_table(SHIPPED))
            print(arguments.section)
    except CardError as error:
        raise SystemExit(str(error)) from error


def read_folder(path: Path) -> ModelFolder:
    """Read a model folder. Raises OSError when a file is missing."""
    payload = (path / "model.safetensors").read_bytes()
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return ModelFolder(path, config, hashlib.sha256(payload).hexdigest()[:12], len(payload))


def problems(shipped: Path) -> list[str]:
    """List in words what is wrong with the cards of the model folders under `shipped`."""
    folders = sorted(item.parent for item in shipped.glob("*/model.safetensors"))
    return [found for folder in folders if (found := problem(folder))] + _wrong_default(folders)


def problem(folder: Path) -> str | None:
    """Say in words what is wrong with the card of a model folder."""
    try:
        rendered = render(folder)
    except CardError as error:
        return str(error)
    card = folder / "README.md"
    if not card.is_file() or card.read_text(encoding="utf-8") != rendered:
        return f"{folder.name}: README.md is not what the template gives; run python -m training.release.card"
    return None


def _wrong_default(folders: Sequence[Path]) -> list[str]:
    evaluations = [read(folder / EVALUATION) for folder in folders if (folder / EVALUATION).is_file()]
    chosen = {default_ensemble(results) for results in evaluations if len(results.ensembles) > 1} - {None}
    return [
        f"an evaluation chooses {name} as the default, unmask has {bundled.DEFAULT}"
        for name in sorted(filter(None, chosen))
        if name != bundled.DEFAULT
    ]


def write_card(folder: Path, results: Path | None = None, figures: Path | None = None) -> Path:
    """Store the evaluation and the figures in a model folder, if given, and render its card.

    Raises:
        CardError: the results are of other weights, or facts of the training are missing.
    """
    model = read_folder(folder)
    if results:
        found = read(results / "results.json")
        write(found.for_card(_label_of(model, found)), folder / EVALUATION)
    if figures:
        (folder / "figures").mkdir(exist_ok=True)
        for name in FIGURES:
            if (figures / f"{name}.png").is_file():
                shutil.copyfile(figures / f"{name}.png", folder / "figures" / f"{name}.png")
    text = render(folder)
    with atomic_write(folder / "README.md") as draft:
        draft.write_text(text, encoding="utf-8")
    return folder / "README.md"


def _label_of(model: ModelFolder, results: Results) -> str:
    """Return the name that the results have for these weights. Raises CardError when they have none."""
    label = next((item.name for item in results.models if item.revision == model.revision), None)
    if label is None:
        measured = ", ".join(f"{item.name} {item.revision}" for item in results.models)
        raise CardError(f"{model.path.name}: the results hold no model of revision {model.revision}, only {measured}")
    return label


def render(folder: Path) -> str:
    """Render the card of a model folder, front matter included.

    Raises:
        CardError: there is no evaluation of these weights, or facts of the training are missing.
    """
    model, is_evaluated = read_folder(folder), (folder / EVALUATION).is_file()
    if model.origin is not None and not is_evaluated:
        return _render(model, published=PUBLISHED[model.origin.layout])
    if not is_evaluated:
        raise CardError(f"{folder.name} has no {EVALUATION}: evaluate it, and run python -m training.release.card")
    results = read(folder / EVALUATION)
    label = _label_of(model, results)
    summaries = [one.summary(label) for one in results.sets]
    if not all(part.fake_grades for summary in summaries for part in (summary.whole, *summary.by_group.values())):
        raise CardError(f"{model.name}: its evaluation has no graded evidence; evaluate it anew")
    about = _training_facts(model)
    return _render(
        model,
        **about,
        label=label,
        results=results,
        limits=[*_limits(results, label), *(about.get("trained") or about["published"]).limits],
        by_method=any(one.summary(label).by_method for one in results.sets),
        by_group=any(one.summary(label).by_group for one in results.sets),
        comparisons=list(_comparisons(results, label)),
        rule=RULE,
        default=default_ensemble(results),
        figures=[item for item in FIGURES.items() if (folder / "figures" / f"{item[0]}.png").is_file()],
    )


def _training_facts(model: ModelFolder) -> dict[str, Any]:
    """Collect how a model was trained, or who published it. Raises CardError."""
    if model.origin is not None:
        return {"published": PUBLISHED[model.origin.layout]}
    script = RUNS / f"{model.name}.sh"
    if model.name not in TRAINED or not script.is_file():
        raise CardError(f"{model.name}: say in training/release/data_sources.py and training/runs how it was trained")
    trained = TRAINED[model.name]
    return {
        "trained": trained,
        "sources": [(SOURCES[key], used) for key, used in trained.sources.items()],
        "script": script.read_text(encoding="utf-8").strip(),
        "script_link": SCRIPT_LINK.format(model.name),
    }


def _render(model: ModelFolder, results: Results | None = None, label: str = "", **about: Any) -> str:
    facts = about.get("trained") or about["published"]
    text = _template().render(
        **{"limits": facts.limits, **about},
        card_data=_card_data(model, about.get("trained"), results, label).to_yaml(),
        name=model.name,
        origin=model.origin,
        revision=model.revision,
        results=results,
        label=label,
        summary=f"{facts.summary} {MEANING} {_size(model, results, label)}",
        geometry=_geometry(model.config),
    )
    return str(ModelCard(text))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own numbers
    )
    environment.filters |= {"cell": _cell, "share": _share, "complement": _complement}
    environment.filters["counts"] = lambda labels: _counts(labels, LABELS)
    environment.filters["grades"] = lambda grades: _counts(grades, [name for name in GRADES if name != "no_face"])
    return environment.get_template("card.md.j2")


def _card_data(model: ModelFolder, trained: Trained | None, results: Results | None, label: str) -> ModelCardData:
    terms: dict[str, Any]
    if trained is None:
        assert model.origin is not None
        terms = {
            "license": model.origin.licence if LICENCE.fullmatch(model.origin.licence) else "other",
            "base_model": model.origin.source if "/" in model.origin.source else None,
        }
    else:
        terms = {
            "license": "other",
            "license_name": "research-non-commercial",
            "license_link": "README.md#training-data",
            "datasets": [found for key in trained.sources if (found := SOURCES[key].dataset_id)],
        }
    measured: dict[str, Any] = (
        {"metrics": [*METRICS.values()], "eval_results": list(_eval_results(results, label))} if results else {}
    )
    return ModelCardData(
        **terms,
        library_name="unmask",
        pipeline_tag="video-classification",
        tags=["deepfake-detection", "video-classification"],
        model_name=model.name,
        **measured,
    )


def _eval_results(results: Results, name: str) -> Iterator[EvalResult]:
    for one in results.sets:
        for key, metric in METRICS.items():
            value = one.summary(name).metrics.get(key)
            if value is not None:
                yield EvalResult(
                    task_type="video-classification",
                    dataset_type=one.folder,
                    dataset_name=f"{one.name} ({one.role})",
                    dataset_split=", ".join(one.splits),
                    metric_type=metric,
                    metric_value=round(value.value, 4),
                )


def _size(model: ModelFolder, results: Results | None, label: str) -> str:
    size = f"{model.size_bytes / 2**20:.1f} MiB."
    if results is None:
        return size
    record = next(item for item in results.models if item.name == label)
    return f"{record.parameters / 1e6:.1f} M parameters, {size}"


def _geometry(config: Mapping[str, Any]) -> str:
    clip, policy = config["clip"], config["policy"]
    seconds = (clip["frames_per_clip"] - 1) * clip["frame_stride_seconds"]
    shape = f"A clip is {clip['frames_per_clip']} frames ({seconds:.1f} s) of one face, {clip['side_px']} px wide."
    if (policy["real_below"], policy["fake_above"]) == (0, 1):
        return f'{shape} It is not calibrated yet, so that every answer is "Not sure".'
    return (
        f'{shape} A probability below {policy["real_below"]:.3f} is shown as "No sign of a deepfake", one above '
        f'{policy["fake_above"]:.3f} as "Likely deepfake", the rest as "Not sure".'
    )


def _comparisons(results: Results, name: str) -> Iterator[tuple[str, str, Difference]]:
    """Yield every comparison with this model, from its side: set, other, the other's gain."""
    for item in results.comparisons:
        if item.first == name:
            yield item.set, item.second, item.auc
        elif item.second == name:
            gain = item.auc
            yield item.set, item.first, replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)


def _limits(results: Results, name: str) -> Iterator[str]:
    """Yield the limits that the numbers show."""
    for one in results.sets:
        if one.is_cross_dataset:
            yield from _limits_on(one, name)
    if not any(one.summary(name).by_group for one in results.sets):
        yield "No set here labels groups of people; training/RESULTS.md has errors by light, view and skin."
    yield "It judges faces only: not the sound, not what is said, not how a video is edited."


def _limits_on(one: SetResult, name: str) -> Iterator[str]:
    summary = one.summary(name)
    yield f"On {one.name} it gives no answer for {summary.abstained.value:.0%} of the videos."
    if summary.false_alarms is not None:
        rate = summary.false_alarms
        yield (
            f"On {one.name} it calls {rate.value:.0%} of the real videos fake; as there are only "
            f"{summary.whole.reals}, the true share may be up to {rate.high:.0%}."
        )
    fakes = {
        method: part.auc
        for method, part in summary.by_method.items()
        if part.auc and part.reals == summary.whole.reals and part.fakes < summary.whole.fakes
    }
    if fakes:
        weakest = min(fakes, key=lambda method: fakes[method].value)
        yield f"On {one.name} it is weakest on {weakest}: AUC {fakes[weakest]}."


def models_table(shipped: Path) -> str:
    """Render a row for each model folder under `shipped`, on the sets of the default model with reals and fakes."""
    folders = sorted(item.parent for item in shipped.glob(f"*/{EVALUATION}"))
    sets = [one.name for one in read(shipped / bundled.DEFAULT / EVALUATION).sets if "auc" in one.summaries[0].metrics]
    rows = [["model", "parameters", "weights", *sets], ["---"] * (3 + len(sets))]
    for model in map(read_folder, folders):
        results = read(model.path / EVALUATION)
        label = _label_of(model, results)
        parameters = next(item.parameters for item in results.models if item.name == label)
        size = [f"{parameters / 1e6:.1f} M", f"{model.size_bytes / 2**20:.1f} MiB"]
        rows.append([f"`{model.name}`", *size, *(_auc_and_answers(results, name, label) for name in sets)])
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _auc_and_answers(results: Results, name: str, label: str) -> str:
    """Format the AUC on a set, and the share of its videos whose evidence is strong or moderate."""
    summary = next((one.summary(label) for one in results.sets if one.name == name), None)
    if summary is None or "auc" not in summary.metrics:
        return "–"
    whole = summary.whole
    graded = sum(
        count
        for grades in (whole.real_grades, whole.fake_grades)
        for grade, count in grades.items()
        if grade.startswith(("strong", "moderate"))
    )
    return f"{summary.metrics['auc'].value:.3f}; {graded / (whole.reals + whole.fakes):.0%}"


def renew_section(path: Path, marks: tuple[str, str], table: str) -> None:
    """Put a table between the marks of a file. Raises CardError where they are missing."""
    before, _, after = _split_at_marks(path, marks)
    with atomic_write(path) as draft:
        draft.write_text(before + table + after, encoding="utf-8")


def _split_at_marks(path: Path, marks: tuple[str, str]) -> tuple[str, str, str]:
    """Read a file -> the text up to and with the first mark, between the marks, from the second mark on."""
    begin, end = marks
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    between, found, after = rest.partition(end)
    if not found:
        raise CardError(f"{path.name} has no {begin} … {end} to put the table between")
    return before + begin, between, end + after


def _cell(value: Interval | jinja2.Undefined | None) -> str:
    return str(value) if isinstance(value, Interval) else "–"


def _share(value: Interval | None) -> str:
    return "–" if value is None else f"{value.value:.1%} ({value.low:.0%}–{value.high:.0%})"


def _complement(value: Interval) -> str:
    return _share(Interval(1 - value.value, 1 - value.high, 1 - value.low))


def _counts(counts: Mapping[str, int], names: Sequence[str]) -> str:
    return " / ".join(str(counts[name]) for name in names) if any(counts.values()) else "–"


if __name__ == "__main__":
    main()
