"""Let fifty clients at a Space for ten minutes, and print a table of what they met with.

python -m tests.bench.soak [SECONDS]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.soaking import CLIENTS, Tally, soak

QUANTILES = (0.5, 0.9, 0.99, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        tally = soak(seconds, Path(folder))
    show(tally, seconds)
    sys.exit(bool(tally.wrong or tally.left_files or tally.left_children))


def show(tally: Tally, seconds: float) -> None:
    total = sum(tally.outcomes.values())
    print(f"{total:,} requests of {CLIENTS} clients in {seconds:.0f} s, {len(tally.wrong)} of them wrong\n")
    for outcome, times in tally.outcomes.most_common():
        print(f"  {outcome:<18}{times:>6,}")
    print(f"\n  {'seconds to the answer':<24}{'median':>8}{'90 %':>8}{'99 %':>8}{'longest':>9}{'asked':>8}")
    for name, latencies in sorted(tally.latencies.items()):
        quantiles = np.quantile(latencies, QUANTILES)
        row = "".join(f"{value:>8.1f}" for value in quantiles[:-1])
        print(f"  {name:<24}{row}{quantiles[-1]:>9.1f}{len(latencies):>8,}")
    print(f"\n  files of jobs left: {len(tally.left_files)}; processes left: {tally.left_children}")
    for line in tally.wrong[:20]:
        print(f"  WRONG {line}")


if __name__ == "__main__":
    main()
