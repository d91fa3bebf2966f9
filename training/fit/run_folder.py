"""Write and read the folder of a run: train.json, log.jsonl, curves.png and model/, which `unmask` loads."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from training.fit.recipes import StageName, TrainConfig
from unmask.models import checkpoint
from unmask.models.architectures import VideoModel
from unmask.verdict import Calibration, Policy


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a model's weights reach on the split `val`."""

    blended_auc: float  # on reals and blended fakes of them
    true_auc: float | None = None  # on reals and true fakes, where there are such: the mean of true_by_folder
    true_by_folder: dict[str, float] = field(default_factory=dict)  # AUC by the data folder of the reals
    reals_above_half: dict[str, float] = field(default_factory=dict)  # share by data folder: probability above 0.5

    @property
    def score(self) -> float:
        """Return the mean AUC, by which the best epoch is chosen."""
        every = (self.true_auc, self.blended_auc)
        found = [value for value in every if value is not None]
        return sum(found) / len(found)


@dataclass(frozen=True, kw_only=True)
class Epoch(Validation):
    """One epoch of a run, a line of its log."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's training batches
    seconds: float


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @property
    def model(self) -> Path:
        """Return the model folder with the best weights so far, not calibrated yet."""
        return self.path / "model"

    def start(self, config: TrainConfig, stage: StageName, arguments: dict[str, str]) -> None:
        """Make the folder and record the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        record = {"stage": stage, "arguments": arguments, "config": dataclasses.asdict(config)}
        (self.path / "train.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def log(self, epoch: Epoch) -> None:
        """Add a line to the log and plot the curves again."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(dataclasses.asdict(epoch)) + "\n")
        plot_curves(self.epochs(), self.path / "curves.png")

    def epochs(self) -> list[Epoch]:
        """Read the log."""
        lines = (self.path / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [Epoch(**json.loads(line)) for line in lines]

    def save_best(self, model: VideoModel, config: TrainConfig, epoch: Epoch) -> None:
        """Make this epoch's weights the run's result."""
        named = {"true": epoch.true_auc, "blended": epoch.blended_auc}
        aucs = [f"{value:.3f} on {kind} fakes" for kind, value in named.items() if value is not None]
        headline = f"validation AUC: {', '.join(aucs)}; not calibrated"
        name = config.architecture
        file = checkpoint.ModelConfigFile(name, name, config.model, config.clip, Calibration(), Policy(), headline)
        checkpoint.save(self.model, model, file)


def plot_curves(epochs: list[Epoch], path: Path) -> None:
    """Plot loss and validation by epoch into a PNG file."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    numbers = [line.epoch + 1 for line in epochs]
    left.plot(numbers, [line.loss for line in epochs], marker="o")
    left.set(xlabel="epoch", ylabel="training loss")
    for kind in ("true", "blended"):
        aucs = [getattr(line, f"{kind}_auc") for line in epochs]
        if None not in aucs:
            right.plot(numbers, aucs, marker="o", label=f"{kind} fakes")
    right.set(xlabel="epoch", ylabel="validation AUC")
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
