"""Make a shipped model again, from the data sets to the calibrated folder, by the commands of its card.

    python -m training.tools.reproduce mobilenet-gru --out OUT \\
        DFDC_FACES=DIR FFHQ=DIR TALKING=DIR DFDC_VIDEOS=DIR [--short 20]

The commands are `training.release.provenance`'s, so the card cannot say anything else; their results lie in OUT. What
was stopped goes on where it was when the same is asked again. With --short N, one epoch over N videos of each
set: to see that everything is there before the real run is paid for.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.release.provenance import TRAINED

ROOT = Path(__file__).resolve().parents[2]
DATA = re.compile(r"\b[A-Z][A-Z_]+\b")  # a data set's place in a command
SHORT = {  # options that make a step short, by its module
    "training.train": "--epochs 1 --pairs-per-batch 4 --limit {}",
    "training.fit.train_autoencoder": "--steps {}",
    "training.calibrate": "--limit {}",
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(TRAINED))
    parser.add_argument("--data", action="append", default=[], metavar="NAME=DIR", help="where a data set lies")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--short", type=int, metavar="N", help="only try the way, with N videos of each set")
    arguments = parser.parse_args(argv)
    places = {name: Path(folder).resolve() for name, _, folder in (text.partition("=") for text in arguments.data)}
    try:
        steps = commands(arguments.model, places, arguments.short)
    except ValueError as error:
        parser.error(str(error))
    arguments.out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for step in steps:
        print(f"$ {shlex.join(['python', *step])}", flush=True)
        subprocess.run([sys.executable, *step], cwd=arguments.out, env=environment, check=True)


def commands(model: str, places: Mapping[str, Path], short: int | None = None) -> list[list[str]]:
    """The arguments of `python`, step by step. Raises ValueError naming the data sets that have no place."""
    wanted = sorted({name for line in TRAINED[model].commands for name in DATA.findall(line)})
    if missing := [name for name in wanted if name not in places]:
        raise ValueError(f"say where these data sets lie: {' '.join(f'--data {name}=DIR' for name in missing)}")
    steps = []
    for line in TRAINED[model].commands:
        _, *step = shlex.split(DATA.sub(lambda found: shlex.quote(str(places[found[0]])), line))
        if short is not None:
            step += SHORT.get(step[1], "").format(short).split()
        steps.append(step)
    return steps


if __name__ == "__main__":
    main()
