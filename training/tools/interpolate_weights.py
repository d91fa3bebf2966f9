"""Interpolate between the weights of a run and of the run that it started from, so that it forgets less.

    python -m training.tools.interpolate_weights --start RUN --tuned RUN2 --share 0.85 --out RUN3

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022. RUN3/model is what `training.calibrate` reads.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from training.fit.run_folder import RunFolder
from unmask.models import checkpoint
from unmask.models.architectures import VideoModel


def main() -> None:
    """Write the interpolated model of two runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="run folder that the other started from")
    parser.add_argument("--tuned", type=Path, required=True, help="run folder")
    parser.add_argument("--share", type=float, required=True, help="of the tuned weights, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    arguments = parser.parse_args()
    start, tuned = (checkpoint.restore(RunFolder(folder).model) for folder in (arguments.start, arguments.tuned))
    file = checkpoint.read_config(RunFolder(arguments.tuned).model)
    headline = f"{arguments.share:g} of the tuned weights; {file.headline}"
    model = interpolate(start, tuned, arguments.share)
    checkpoint.save(RunFolder(arguments.out).model, model, replace(file, headline=headline))


def interpolate(start: VideoModel, tuned: VideoModel, share: float) -> VideoModel:
    """Move the weights and batch statistics of `start` by `share` of the way to those of `tuned`, in place."""
    ends = tuned.state_dict()
    with torch.no_grad():
        for name, value in start.state_dict().items():
            value.copy_(torch.lerp(value, ends[name], share) if value.is_floating_point() else ends[name])
    return start


if __name__ == "__main__":
    main()
