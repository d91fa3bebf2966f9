"""Measure what a model's temporal head adds: clips against the mean of their single frames, on the same videos.

    python -m training.tools.temporal_ablation --model NAME --set NAME=DIR … [--cache DIR]

Each frame is shown to the same weights as a clip of one frame. A video's score is the mean over its clips, or
over all their frames. Prints both AUCs and their difference, people drawn with replacement, alike for both.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.evaluation import metrics
from training.evaluation.eval_sets import EvaluationSet, SamplingSpec, open_set
from unmask.faces.detector import FaceFinder
from unmask.models import inference
from unmask.models.inference import LoadedModel
from unmask.video.sampling import plan_windows


def main() -> None:
    """Compare on the sets that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--set", action="append", required=True, metavar="NAME=DIR", dest="sets")
    parser.add_argument("--cache", type=Path, help="folder where found faces are kept")
    arguments = parser.parse_args()
    model, finder = inference.load(arguments.model), FaceFinder()
    for text in arguments.sets:
        name, _, folder = text.partition("=")
        print(f"{name}: {compare(model, open_set(Path(folder), finder, arguments.cache))}", flush=True)


def compare(model: LoadedModel, found: EvaluationSet) -> str:
    """Score every video with a face in both ways, and format the comparison."""
    sampling = SamplingSpec(plan_windows([model.spec]), (model.spec,))
    kept, by_frame, by_clip = [], [], []
    for example in tqdm(found.examples, mininterval=5):
        clips = found.find(example, sampling).clips[model.spec]
        if clips:
            kept.append(example)
            by_clip.append(float(model.logits(clips).mean()))
            by_frame.append(float(model.logits([frame for clip in clips for frame in clip.frames()]).mean()))
    fake, groups = np.array([item.fake for item in kept]), [item.group for item in kept]
    first, second = np.array(by_frame, np.float64), np.array(by_clip, np.float64)
    gain = metrics.paired_bootstrap(metrics.auc, first, second, fake, groups)
    return (
        f"mean of frames {metrics.auc(first, fake):.3f}, clips {metrics.auc(second, fake):.3f}, "
        f"difference {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), {len(kept)} videos"
    )


if __name__ == "__main__":
    main()
