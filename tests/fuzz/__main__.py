"""Command ``python -m tests.fuzz``: many damaged inputs, a table, and what failed, kept."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.cases import WARM, damaged
from tests.fuzz.seeds import all_seeds
from tests.fuzz.supervisor import OUTCOMES, Outcome, supervise
from tests.fuzz.targets import run


def table(outcomes: list[Outcome]) -> str:
    """Outcomes by target."""
    targets = sorted({outcome.target for outcome in outcomes})
    rows = [f"{'':14}{'inputs':>8}" + "".join(f"{kind:>14}" for kind in OUTCOMES)]
    for target in [*targets, "all"]:
        mine = [o for o in outcomes if target in (o.target, "all")]
        count = Counter(outcome.kind for outcome in mine)
        rows.append(
            f"{target:14}{len(mine):>8}" + "".join(f"{count[kind]:>14}" for kind in OUTCOMES)
        )
    return "\n".join(rows)


def main() -> int:
    """Run, print, write; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="inputs")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", help="of one target only")
    parser.add_argument("--no-networks", action="store_true", help="without TensorFlow")
    parser.add_argument("--json", type=Path, help="write all outcomes here")
    parser.add_argument("--keep", type=Path, help="put inputs that failed into this folder")
    given = parser.parse_args()
    seeds = [s for s in all_seeds(not given.no_networks) if given.target in (None, s.target)]
    warm = (*WARM, "keras") if any(s.target == "network" for s in seeds) else WARM
    cases = damaged(seeds, given.count, given.start)
    outcomes, since = [], time.monotonic()
    for outcome in supervise(cases, run, processes=given.processes, warm=warm):
        outcomes.append(outcome)
        if not outcome.good:
            print(f"{outcome.target} {outcome.name} ({outcome.origin}): {outcome.kind}")
            print(f"    {outcome.said}", flush=True)
            if given.keep:
                number = int(outcome.origin.split(":")[0])
                folder = given.keep / outcome.target / f"{outcome.kind}-{number}"
                folder.mkdir(parents=True, exist_ok=True)
                again = next(damaged(seeds, 1, number))
                (folder / outcome.name).write_bytes(again.content)
    print(table(outcomes))
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(
        f"{len(outcomes)} inputs in {time.monotonic() - since:.0f} s; the slowest took "
        f"{slowest.seconds:.1f} s ({slowest.target} {slowest.name}, {slowest.origin})"
    )
    if given.json:
        given.json.write_text(json.dumps([o.to_dict() for o in outcomes], indent=1) + "\n")
    return int(not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
