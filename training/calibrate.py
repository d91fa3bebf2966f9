"""Fit a model's calibration and thresholds on validation clips, and write the model folder that is shipped.

    python -m training.calibrate --run RUN --data FACES [--data CLIPS] --out space/unmask/models/weights/mobilenet-gru

Only rows of the split "val" are used, and every data folder is a domain in which the targets are met. What is fitted:
whole videos as they are stored, by their pooled logits, since that is what is shown; single clips, with true fakes of
their folder and blended ones, re-compressed as the web does, and mildly once more, as serving does before it answers;
and corrupted reals, the worst condition of which decides what is called fake. Strongly blurred reals would put that
beyond most fakes; they decide how sharp a face must be to get an answer. A folder without such rows is refused, so
nothing is ever fitted on a set that is for measuring. Writes the scores to RUN/validation.npz, and prints what the
thresholds give on halves of the data that they were not fitted on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from training.fit.run_folder import RunFolder
from training.release.calibration import check_on_halves, fit, headline
from training.release.score_validation import score_clips, score_videos, validation_clips
from unmask.models import checkpoint, torch_model


def main() -> None:
    """Calibrate the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the stage `clips`")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of stored clips")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--limit", type=int, help="only so many real videos of each folder: quicker, and looser")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    run = RunFolder(arguments.run)
    model = torch_model.load(str(run.model))
    clips = validation_clips(arguments.data, arguments.limit)
    cache = arguments.run.parent / "meshes"
    by_clip = score_clips(model.module, clips, model.spec, cache, arguments.workers)
    by_video = score_videos(model.module, validation_clips(arguments.data), model.spec, arguments.workers)
    table = np.concatenate([by_clip, by_video])
    np.savez(arguments.run / "validation.npz", scores=table)
    calibration, policy = fit(table)
    file = replace(checkpoint.read_config(run.model), calibration=calibration, policy=policy, headline=headline(table))
    checkpoint.save(arguments.out, checkpoint.restore(run.model), file)
    print(file.headline, calibration, policy, sep="\n")
    print(check_on_halves(table))


if __name__ == "__main__":
    main()
