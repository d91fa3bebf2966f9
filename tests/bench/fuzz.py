"""Give 10,000 corrupted files to the sandboxed decoder, and print a table of how they ended.

python -m tests.bench.fuzz [COUNT]
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzzing import CORRUPTED, CPU_SECONDS, FINE, Corruption, SandboxedDecoder

SEED = 20261122


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    count = parser.parse_args().count
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, SandboxedDecoder(Path(folder)) as decoder:

        @seed(SEED)
        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(CORRUPTED)
        def try_one(names: tuple[str, str, list[Corruption]]) -> None:
            decoder.decode(*decoder.corrupted(names))

        try_one()
        show(decoder, time.monotonic() - began)
        sys.exit(any(ended.outcome not in FINE for ended in decoder.ended))


def show(decoder: SandboxedDecoder, seconds: float) -> None:
    ended = decoder.ended
    print(f"{len(ended):,} corrupted files in {seconds:.0f} s\n")
    for outcome, times in Counter(each.outcome for each in ended).most_common():
        print(f"  {outcome:<14}{times:>7,}{'' if outcome in FINE else '   <- not an answer of the contract'}")
    cpu = np.array([each.cpu_seconds for each in ended])
    peak = np.array([each.peak_bytes for each in ended]) / 2**20
    print(f"\n  processor time: median {np.median(cpu):.2f} s, 99 % below {np.quantile(cpu, 0.99):.2f} s,")
    print(f"  longest {cpu.max():.2f} s of {CPU_SECONDS:.0f} s; most memory {peak.max():.0f} MiB")


if __name__ == "__main__":
    main()
