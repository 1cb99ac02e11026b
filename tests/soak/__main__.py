"""Thousands of frames in one process: memory, open handles and threads must stay flat.

    python -m tests.soak --frames 5000
    python -m tests.soak --frames 300 --real --json soak.json

Exit code 1 where they do not: handles or threads other than at a tenth of the run, or memory that
grows by more than 4 KiB a frame from then on (a frame of the summary table takes less than one).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ase_crystalnet.results.method import Method
from tests.soak.measure import frames_on_disk, soak
from tests.support.fakes import FakeAnalyzer

MOST_GROWTH = 4.0  # KiB a frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--real", action="store_true", help="the shipped model, not a stand-in")
    parser.add_argument("--json", type=Path, help="write what was seen to this file")
    given = parser.parse_args()
    method: Method
    if given.real:
        from ase_crystalnet import CrystalNet

        method = CrystalNet()
    else:
        method = FakeAnalyzer()
    every = max(given.frames // 20, 1)
    seen = []
    with tempfile.TemporaryDirectory() as name:
        paths = frames_on_disk(Path(name), given.frames, size=3 if given.real else 2)
        print("  frames  memory/MiB  in use/MiB  handles  threads")
        for now in soak(method, paths, Path(name) / "run.h5", every=every):
            seen.append(now)
            print(
                f"{now.frames:8d}  {now.memory:10.1f}  {now.in_use:10.2f}  "
                f"{now.handles:7d}  {now.threads:7d}",
                flush=True,
            )
    settled = seen[len(seen) // 10 :] if len(seen) > 3 else seen
    growth = 0.0
    if len(settled) > 1:
        slope = np.polyfit([now.frames for now in settled], [now.memory for now in settled], 1)[0]
        growth = 1024 * float(slope)
    handles = {now.handles for now in settled}
    threads = {now.threads for now in settled}
    flat = growth <= MOST_GROWTH and len(handles) == 1 and len(threads) == 1
    print(f"memory grows by {growth:.2f} KiB a frame; {'flat' if flat else 'NOT FLAT'}")
    if given.json:
        report = {
            "frames": given.frames,
            "real": given.real,
            "growth_kib_a_frame": growth,
            "flat": flat,
            "seen": [asdict(now) for now in seen],
        }
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
