"""What a run leaves behind: train.json, log.jsonl, curves.png, model/ for `unmask`, TensorBoard's files."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from training.fit.recipes import StageName, TrainConfig
from unmask.models import checkpoint
from unmask.models.architectures import VideoModel
from unmask.verdict import Calibration, Policy


@dataclass(frozen=True)
class Epoch:
    """One line of the log."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's training batches
    seconds: float
    blended_auc: float  # on validation reals and blended fakes of them
    true_auc: float | None = None  # on them and true fakes, where there are such
    redrawn_auc: float | None = None  # on them and what a painter made of them, where there is one

    @property
    def score(self) -> float:
        """What the best epoch is chosen by."""
        every = (self.true_auc, self.blended_auc, self.redrawn_auc)
        found = [value for value in every if value is not None]
        return sum(found) / len(found)


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def model(self) -> Path:
        """The best weights so far, as a model folder; not calibrated yet."""
        return self.path / "model"

    def start(self, config: TrainConfig, stage: StageName, arguments: dict[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        record = {"stage": stage, "arguments": arguments, "config": dataclasses.asdict(config)}
        (self.path / "train.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def note(self, epoch: Epoch) -> None:
        """Add a line to the log and draw the curves again."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(dataclasses.asdict(epoch)) + "\n")
        draw_curves(self.epochs(), self.path / "curves.png")

    def epochs(self) -> list[Epoch]:
        lines = (self.path / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [Epoch(**json.loads(line)) for line in lines]

    def keep(self, model: VideoModel, config: TrainConfig, epoch: Epoch) -> None:
        """Make this epoch's weights the run's result."""
        named = {"true": epoch.true_auc, "blended": epoch.blended_auc, "redrawn": epoch.redrawn_auc}
        aucs = [f"{value:.3f} on {kind} fakes" for kind, value in named.items() if value is not None]
        headline = f"validation AUC: {', '.join(aucs)}; not calibrated"
        name = config.architecture
        file = checkpoint.ModelConfigFile(name, name, config.model, config.clip, Calibration(), Policy(), headline)
        checkpoint.save(self.model, model, file)


def draw_curves(epochs: list[Epoch], path: Path) -> None:
    """Loss and validation by epoch -> a picture."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    numbers = [line.epoch + 1 for line in epochs]
    left.plot(numbers, [line.loss for line in epochs], marker="o")
    left.set(xlabel="epoch", ylabel="training loss")
    for kind in ("true", "blended", "redrawn"):
        aucs = [getattr(line, f"{kind}_auc") for line in epochs]
        if None not in aucs:
            right.plot(numbers, aucs, marker="o", label=f"{kind} fakes")
    right.set(xlabel="epoch", ylabel="validation AUC")
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
