"""Write a model's card from an evaluation, never by hand; and check that every shipped model has its own.

    python -m training.release.card --results OUT --model-folder MODEL [--figures OUT/figures]
    python -m training.release.card --results OUT --section README.md
    python -m training.release.card --check

The first writes NAME's README.md out of OUT/results.json and `training.release.provenance`; with --figures, pictures
of the evaluation are copied beside it and shown. The second renews the table between the two marks
`<!-- evaluation -->` and `<!-- /evaluation -->` of a file. The third fails when a shipped model
has no card, one that was written for other weights, or one that found another model to be the default.
"""

import argparse
import hashlib
import json
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.results import Interval, Part, Results, SetResult, Summary, read
from training.release.model_selection import RULE, default_lineup
from training.release.provenance import PEERS, PEERS_NOTE, SOURCES, TRAINED, Trained
from unmask.models import bundled

SHIPPED = bundled.FOLDER
REVISION = re.compile(r"^Weights: revision `([0-9a-f]{12})`", re.MULTILINE)
CHOSEN = re.compile(r"By this evaluation it is \*\*([^*]+)\*\*")
MARKS = ("<!-- evaluation -->", "<!-- /evaluation -->")
PICTURES = {  # name: what it shows, in the order of the card
    "roc": "ROC curves",
    "answers": "What reals and fakes are called",
    "scores": "Shown probabilities; grey is the band in which no answer is given",
    "reliability": "Reliability: what the probability says against what is true",
    "risk-coverage": "Risk against coverage",
    "robustness": "Robustness",
    "cross-dataset": "All models on all sets",
    "heatmaps": "What the model looks at, on a public-domain photograph",
}

WIDTH = 110  # of the written lines, as in the other files of the repository

Table = list[list[str]]


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says of itself."""

    path: Path
    config: dict[str, Any]
    revision: str  # start of the weight file's sha256, as unmask.models.checkpoint has it
    size_bytes: int

    @property
    def name(self) -> str:
        return str(self.config["name"])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder that holds results.json")
    parser.add_argument("--model-folder", type=Path)
    parser.add_argument("--figures", type=Path, help="folder that training.evaluation.figures wrote")
    parser.add_argument("--section", type=Path, help="file whose table of results is renewed")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.check:
        _stop_if(problems(SHIPPED))
    if not arguments.check and not (arguments.results and (arguments.model_folder or arguments.section)):
        parser.error("give --check, or --results with --model-folder or --section")
    if arguments.model_folder:
        write_card(arguments.results, arguments.model_folder, arguments.figures)
    if arguments.section:
        renew_section(arguments.section, section(read(arguments.results / "results.json")))


def _stop_if(found: Sequence[str]) -> None:
    if found:
        raise SystemExit("\n".join(found))


def read_folder(path: Path) -> ModelFolder:
    """Raises OSError when a file is missing."""
    payload = (path / "model.safetensors").read_bytes()
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return ModelFolder(path, config, hashlib.sha256(payload).hexdigest()[:12], len(payload))


def problems(shipped: Path) -> list[str]:
    """What is wrong with the cards of the model folders under `shipped`, in words."""
    found = []
    for path in sorted(item.parent for item in shipped.glob("*/model.safetensors")):
        card = path / "README.md"
        if not card.is_file():
            found.append(f"{path.name}: the weights have no card; python -m training.release.card writes it")
        elif (written := card_revision(card)) != (revision := read_folder(path).revision):
            found.append(
                f"{path.name}: the card is of revision {written or 'unknown'}, the weights are {revision}; "
                "evaluate them and run python -m training.release.card"
            )
        elif (best := card_default(card)) and best != bundled.DEFAULT:
            found.append(f"{path.name}: the card finds {best} to be the default, unmask has {bundled.DEFAULT}")
    return found


def card_default(card: Path) -> str | None:
    """What the card says the default should be; None where only one model was measured."""
    match = CHOSEN.search(" ".join(card.read_text(encoding="utf-8").split()))
    return match and match[1]


def card_revision(card: Path) -> str | None:
    match = REVISION.search(card.read_text(encoding="utf-8"))
    return match and match[1]


def write_card(results_folder: Path, model_folder: Path, figures: Path | None) -> None:
    """Raises SystemExit when the results are not of this model, or nobody wrote what it was trained on."""
    results, model = read(results_folder / "results.json"), read_folder(model_folder)
    lineup = next((item.name for item in results.models if item.revision == model.revision), None)
    if lineup is None:
        raise SystemExit(
            f"The results hold no model of revision {model.revision}, only "
            + ", ".join(f"{item.name} {item.revision}" for item in results.models)
        )
    if model.name not in TRAINED:
        raise SystemExit(f"Say in training/release/provenance.py what {model.name} was trained on.")
    shown = _copy_figures(figures, model_folder / "figures") if figures else []
    text = card(model, TRAINED[model.name], results, lineup, shown)
    (model_folder / "README.md").write_text(text, encoding="utf-8")
    print(model_folder / "README.md")


def _copy_figures(source: Path, target: Path) -> list[str]:
    """Copy the pictures that there are -> their names, in the order of the card."""
    names = [name for name in PICTURES if (source / f"{name}.png").is_file()]
    target.mkdir(exist_ok=True)
    for name in names:
        shutil.copyfile(source / f"{name}.png", target / f"{name}.png")
    return names


# --- the card, part by part


def card(model: ModelFolder, trained: Trained, results: Results, lineup: str, figures: Sequence[str] = ()) -> str:
    """Markdown with the Hub's front matter."""
    parts = [
        _front_matter(),
        _title(model, trained, results, lineup),
        _trained_on(trained),
        _measured(results, lineup),
        _answers(results, lineup),
        _by_part(
            results,
            lineup,
            "method",
            "By method: each kind of fakes with all reals, each kind of reals with all fakes",
        ),
        _by_part(results, lineup, "group", "By group, as the set labels it"),
        _together(results, lineup),
        _robust(results, lineup),
        _peers(results),
        _pictures(figures),
        _limits(results, lineup, trained),
        _how_to_use(model),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter() -> str:
    lines = [
        "license: other",
        "license_name: research-non-commercial",
        "library_name: unmask",
        "pipeline_tag: video-classification",
        "tags: [deepfake-detection, video-classification]",
    ]
    return "\n".join(["---", *lines, "---"])


def _title(model: ModelFolder, trained: Trained, results: Results, lineup: str) -> str:
    record = next(item for item in results.models if item.name == lineup)
    clip, policy = model.config["clip"], model.config["policy"]
    seconds = (clip["frames_per_clip"] - 1) * clip["frame_stride_seconds"]
    size = f"{record.parameters / 1e6:.1f} M parameters, {model.size_bytes / 2**20:.1f} MiB."
    geometry = f"""It looks at clips of {clip["frames_per_clip"]} frames ({seconds:.1f} s) of one face, each
        {clip["side_px"]} px wide. A probability below {policy["real_below"]:.3f} is shown as "No sign of a
        deepfake", one above {policy["fake_above"]:.3f} as "Likely deepfake", the rest as "Not sure"."""
    return f"""# {model.name}

{_prose(f"{trained.summary} {size}")}

Weights: revision `{model.revision}`. Written by `python -m training.release.card`; evaluated on {results.day}.

{_prose(geometry)}"""


def _trained_on(trained: Trained) -> str:
    rows = [
        [f"{source.name} ({source.citation})", used, source.terms]
        for source, used in ((SOURCES[key], used) for key, used in trained.sources.items())
    ]
    commands = "\n".join(" \\\n    ".join(_lines(command, WIDTH - 6)) for command in trained.commands)
    terms = f"""It began with {trained.started_from}. The weights may be used as the data may: for research
        and other non-commercial purposes. {trained.chosen_by}"""
    return f"""## Trained on

{_table([["data", "what was used", "terms"], *rows])}

{_prose(terms)}

To make it again:

```sh
{commands}
```"""


def _measured(results: Results, lineup: str) -> str:
    header = ["set", "real / fake", "AUC", "AP", "EER", "TPR at 1 % FPR", "TPR at 5 % FPR", "ECE", "Brier"]
    names = ["auc", "ap", "eer", "tpr_at_fpr_0.01", "tpr_at_fpr_0.05", "ece", "brier"]
    rows = [
        [_set_name(one), _kinds(one), *(_cell(one.summary(lineup).metrics.get(name)) for name in names)]
        for one in results.sets
    ]
    return f"""## Measured

Whole videos, judged as the Space judges them. In brackets: 95 % intervals, by drawing people again. A set is
from elsewhere when nothing was trained, chosen or fitted on it. A video without a face counts as 0.5.

{_table([header, *rows])}

TPR at n % FPR: share of the fakes found at a threshold that calls at most n % of the reals fake; with few
reals, that means not a single one. ECE: mean gap between the probability and the truth.

The numbers of this card were printed by

```sh
{results.command}
```"""


def _set_name(one: SetResult) -> str:
    return f"{one.name}, {one.origin}"


def _kinds(one: SetResult) -> str:
    fakes = sum(row.fake for row in one.rows)
    return f"{len(one.rows) - fakes} / {fakes}"


def _answers(results: Results, lineup: str) -> str:
    header = [
        "set",
        "reals: fake / not sure / real / no face",
        "fakes: the same",
        "reals called fake",
        "answers that are wrong",
        "no answer",
        "ECE of the answers",
    ]
    rows = [[one.name, *_answer_row(one.summary(lineup))] for one in results.sets]
    return f"""### What people are told

{_table([header, *rows])}

Shares with exact binomial 95 % intervals."""


def _answer_row(item: Summary) -> list[str]:
    return [
        _counts(item.whole, fake=False),
        _counts(item.whole, fake=True),
        _share(item.false_alarms),
        _share(item.wrong_answers),
        _share(item.abstained),
        _cell(item.metrics.get("ece_answered")),
    ]


def _counts(part: Part, fake: bool) -> str:
    if not (part.fakes if fake else part.reals):
        return "–"
    labels = part.fake_labels if fake else part.real_labels
    return " / ".join(str(labels[name]) for name in ("fake", "uncertain", "real", "no_face"))


def _by_part(results: Results, lineup: str, kind: str, title: str) -> str:
    rows = []
    for one in results.sets:
        summary = one.summary(lineup)
        parts = summary.by_method if kind == "method" else summary.by_group
        rows += [
            [one.name, name, _cell(part.auc), _counts(part, fake=False), _counts(part, fake=True)]
            for name, part in parts.items()
        ]
    if not rows:
        return ""
    header = ["set", kind, "AUC", "reals: fake / not sure / real / no face", "fakes: the same"]
    return f"### {title}\n\n{_table([header, *rows])}"


def _together(results: Results, lineup: str) -> str:
    """The model beside others that were measured with it, and asked together with them."""
    pairs = [item for item in results.comparisons if lineup in (item.first, item.second)]
    if not pairs:
        return ""
    rows = []
    for item in pairs:
        sign, other = (1, item.second) if item.first == lineup else (-1, item.first)
        low, high = sorted((sign * item.auc.low, sign * item.auc.high))
        gain = f"{sign * item.auc.value:+.3f} ({low:+.2f} to {high:+.2f})"
        rows.append([item.set, other, gain, f"{item.auc.p_value:.2f}"])
    return f"""### Beside the other models

How much higher the AUC of another model, or of an ensemble (A+B), is than this model's on the same videos;
paired bootstrap over people.

{_table([["set", "against", "difference in AUC", "p"], *rows])}

{_prose(f"{RULE} {_chosen(default_lineup(results))}")}"""


def _chosen(default: str | None) -> str:
    return "By this evaluation none can be." if default is None else f"By this evaluation it is **{default}**."


def _robust(results: Results, lineup: str) -> str:
    points = [item for item in results.robustness if item.lineup == lineup]
    if not points:
        return ""
    rows = [
        [
            item.set,
            "as it is" if item.kind == "clean" else f"{item.kind} {item.level:g}",
            _cell(item.auc),
            f"{item.with_face} of {item.videos}",
            f"{item.answered:.0%}",
            f"{item.wrong:.0%}",
        ]
        for item in points
    ]
    header = ["set", "frames", "AUC", "videos with a face", "answered", "answered wrongly"]
    return f"""### When the video is spoiled

A part of each set, fewer windows of each video; frames are spoiled before faces are looked for. JPEG quality,
H.264 rate factor, times smaller and back, blur and noise (sigma in px and grey levels), added brightness.

{_table([header, *rows])}"""


def _peers(results: Results) -> str:
    sets = [one for one in results.sets if any(one.folder in peer.auc for peer in PEERS)]
    if not sets:
        return ""
    return f"""### Other detectors, on the people of the same sets

{_prose(PEERS_NOTE)}

{_table([["AUC", *(one.name for one in sets)], *_peer_rows(sets)])}"""


def _peer_rows(sets: Sequence[SetResult]) -> Table:
    return [
        [peer.name, *(peer.auc.get(one.folder, "–") for one in sets)]
        for peer in PEERS
        if any(one.folder in peer.auc for one in sets)
    ]


def _pictures(names: Iterable[str]) -> str:
    return "\n\n".join(f"![{PICTURES[name]}](figures/{name}.png)" for name in names)


def _limits(results: Results, lineup: str, trained: Trained) -> str:
    found = [sentence for one in results.sets if one.elsewhere for sentence in _set_limits(one, lineup)]
    if not any(one.summary(lineup).by_group for one in results.sets):
        found.append(
            "No set here labels groups of people; training/RESULTS.md says how errors differ by light, view "
            "and skin, as far as a picture tells."
        )
    found += [
        *trained.limits,
        "It judges pictures of faces only: not the sound, not what is said, not how a video is cut.",
        "An answer is a hint, and no proof in either direction.",
    ]
    return "## Limits\n\n" + "\n".join(_prose(f"- {sentence}") for sentence in found)


def _set_limits(one: SetResult, lineup: str) -> list[str]:
    """The unpleasant numbers of a set, in words."""
    summary = one.summary(lineup)
    found = [f"On {one.name} it gives no answer for {summary.abstained.value:.0%} of the videos."]
    if summary.false_alarms is not None:
        rate = summary.false_alarms
        found.append(
            f"On {one.name} it calls {rate.value:.0%} of the real videos fake; as there are only "
            f"{summary.whole.reals}, the true share may be up to {rate.high:.0%}."
        )
    fakes = [(part.auc, name) for name, part in summary.by_method.items() if part.auc and _is_fake(one, name)]
    if fakes:
        area, name = min(fakes, key=lambda pair: pair[0].value)
        found.append(f"On {one.name} it is weakest on {name}: AUC {area}.")
    return found


def _is_fake(one: SetResult, method: str) -> bool:
    return any(row.fake for row in one.rows if row.method == method)


def _how_to_use(model: ModelFolder) -> str:
    return f"""## How to use it

```sh
python -m unmask check VIDEO --model {model.name}        # bundled
python -m unmask check VIDEO --model owner/name         # from the Hub
```

`config.json` holds the geometry of the crops, the calibration and the thresholds. `unmask.models.inference.load` reads
it and `model.safetensors`, strictly."""


# --- a section of another file


def section(results: Results) -> str:
    """Every lineup on every set, and others' detectors."""
    header = ["video AUC (95 %)", *(_set_name(one) for one in results.sets)]
    rows = [[lineup.name, *(_section_cell(one, lineup.name) for one in results.sets)] for lineup in results.lineups]
    rows += [[f"*{name}*", *cells] for name, *cells in _peer_rows(results.sets)]
    note = f"*In italics*: {PEERS_NOTE[0].lower()}{PEERS_NOTE[1:]}"
    return f"{_table([header, *rows])}\n\n{_prose(note)}"


def _section_cell(one: SetResult, lineup: str) -> str:
    summary = one.summary(lineup)
    if "auc" in summary.metrics:
        return str(summary.metrics["auc"])
    return f"{_share(summary.false_alarms)} of the reals called fake"


def renew_section(path: Path, text: str) -> None:
    """Raises SystemExit when the file lacks the marks."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise SystemExit(f"{path.name} has no {' … '.join(MARKS)} to put the table between.")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    print(path)


def _prose(text: str) -> str:
    return "\n".join(_lines(" ".join(text.split()), WIDTH))


def _table(rows: Table) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _cell(value: Interval | None) -> str:
    return "–" if value is None else str(value)


def _share(value: Interval | None) -> str:
    return "–" if value is None else f"{value.value:.1%} ({value.low:.0%}–{value.high:.0%})"


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
