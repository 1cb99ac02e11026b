"""Kill -9 of either side of `crystalnet live`: ``python -m tests.kills --trials 20``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.kills.trials import TRIALS, trial


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each side (20)")
    parser.add_argument("--sides", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rng, results = np.random.default_rng(given.seed), {}
    for side in given.sides:
        survived, frames = 0, 0
        for number in range(given.trials):
            with tempfile.TemporaryDirectory() as folder:
                outcome = trial(side, Path(folder), rng)
            survived += not outcome.faults
            frames += outcome.frames
            for fault in outcome.faults:
                print(f"{side}, trial {number}: {fault}", flush=True)
        results[side] = {"trials": given.trials, "survived": survived, "frames": frames}
        print(f"{side} killed: survived {survived} of {given.trials}, {frames} frames", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(each["survived"] < each["trials"] for each in results.values()))


if __name__ == "__main__":
    sys.exit(main())
