"""Fit a model's calibration and thresholds on validation clips, and write the model folder that is shipped.

    python -m training.calibrate --run RUN --data FACES [--data CLIPS] --out space/unmask/models/weights/mobilenet-gru
    python -m training.calibrate --model-folder ADOPTED --data FACES --out MODEL

Only rows of the split "val" are used, and every data folder is a domain in which the targets are met. What is fitted:
whole videos as they are stored, by their pooled logits, since that is what is shown; single clips, with true fakes of
their folder and blended ones, re-compressed as the web does, and mildly once more, as serving does before it answers;
and corrupted reals, the worst condition of which decides what is called fake. Strongly blurred reals would put that
beyond most fakes; they decide how sharp a face must be to get an answer. A folder without such rows is refused, so
nothing is ever fitted on a set that is for measuring. Writes the scores to RUN/validation.npz, or to that file beside
the new folder, and prints what the thresholds give on halves of the data that they were not fitted on. Crops must be
those of the model: `python -m training.prepare --model ADOPTED` cuts them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from training.fit.run_folder import RunFolder
from training.release.calibration import check_on_halves, fit, headline
from training.release.card import write_card
from training.release.score_validation import score_clips, score_videos, validation_clips
from unmask.models import checkpoint, torch_model


def main() -> None:
    """Calibrate the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="run folder of the stage `clips`")
    source.add_argument("--model-folder", type=Path, help="model folder, as `training.adopt` writes it")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of stored clips")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--limit", type=int, help="only so many real videos of each folder: quicker, and looser")
    parser.add_argument("--int8", action="store_true", help="write the layers at 8 bits: a fourth of float32")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    folder = arguments.model_folder or RunFolder(arguments.run).model
    if arguments.int8:  # what is shipped is what is scored
        checkpoint.save(arguments.out, checkpoint.restore(folder), checkpoint.read_config(folder), int8=True)
        folder = arguments.out
    model = torch_model.load(str(folder), "cuda" if torch.cuda.is_available() else "cpu")
    clips = validation_clips(arguments.data, arguments.limit)
    beside = arguments.run or arguments.out.parent
    cache = beside.parent / "meshes"
    by_clip = score_clips(model.module, clips, model.spec, cache, arguments.workers)
    by_video = score_videos(model.module, validation_clips(arguments.data), model.spec, arguments.workers)
    table = np.concatenate([by_clip, by_video])
    beside.mkdir(parents=True, exist_ok=True)
    np.savez(beside / "validation.npz", scores=table)
    calibration, policy = fit(table)
    file = replace(checkpoint.read_config(folder), calibration=calibration, policy=policy, headline=headline(table))
    if arguments.model_folder:
        file = replace(file, name=arguments.out.name)
    checkpoint.save(arguments.out, checkpoint.restore(folder), file, int8=arguments.int8)
    if file.origin is not None:
        write_card(arguments.out)
    print(file.headline, calibration, policy, sep="\n")
    print(check_on_halves(table))


if __name__ == "__main__":
    main()
