"""Command ``python -m tests.fuzz``: inputs damaged or harmlessly changed, tables, what failed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz.cases import WARM, damaged
from tests.fuzz.harmless import changed
from tests.fuzz.seeds import Seed, all_seeds
from tests.fuzz.supervisor import OUTCOMES, Case, Outcome, supervise
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


def clean_answers(
    seeds: list[Seed], warm: tuple[str, ...], processes: int = 2
) -> dict[tuple[str, str], str]:
    """What is answered to the clean seeds, by target and name; those that are refused have none."""
    cases = [Case(seed.target, seed.name, seed.content) for seed in seeds]
    outcomes = list(supervise(cases, run, processes=processes, warm=warm))
    for outcome in outcomes:
        if not outcome.good:
            raise RuntimeError(f"the clean {outcome.target} {outcome.name}: {outcome.said}")
    return {(o.target, o.name): o.said for o in outcomes if o.kind == "answer"}


def main() -> int:
    """Run, print, write; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="damaged inputs")
    parser.add_argument(
        "--harmless", type=int, default=1000, help="inputs changed so that the answer is the same"
    )
    parser.add_argument("--start", type=int, default=0, help="number of the first of each")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", help="of one target only")
    parser.add_argument("--no-networks", action="store_true", help="without TensorFlow")
    parser.add_argument("--json", type=Path, help="write all outcomes here")
    parser.add_argument("--keep", type=Path, help="put inputs that failed into this folder")
    given = parser.parse_args()
    seeds = [s for s in all_seeds(not given.no_networks) if given.target in (None, s.target)]
    warm = (*WARM, "keras") if any(s.target == "network" for s in seeds) else WARM
    parts: dict[str, Callable[[int, int], Iterator[Case]]] = {
        "damaged": lambda count, start: damaged(seeds, count, start)
    }
    if given.harmless:
        # No change to a network is harmless: its hash is in the card.
        others = [seed for seed in seeds if seed.target != "network"]
        answers = clean_answers(others, WARM, given.processes)
        parts["harmless"] = lambda count, start: changed(others, answers, count, start)
    found: dict[str, list[Outcome]] = {}
    for part, cases in parts.items():
        count = given.count if part == "damaged" else given.harmless
        if not count:
            continue
        outcomes: list[Outcome] = []
        since = time.monotonic()
        for outcome in supervise(
            cases(count, given.start), run, processes=given.processes, warm=warm
        ):
            outcomes.append(outcome)
            if not outcome.good:
                print(f"{outcome.target} {outcome.name} ({outcome.origin}): {outcome.kind}")
                print(f"    {outcome.said}", flush=True)
                if given.keep:
                    number = int(outcome.origin.split(":")[0])
                    folder = given.keep / outcome.target / f"{outcome.kind}-{number}"
                    folder.mkdir(parents=True, exist_ok=True)
                    again = next(cases(1, number))
                    (folder / outcome.name).write_bytes(again.content)
        print(f"{part}:\n{table(outcomes)}")
        slowest = max(outcomes, key=lambda outcome: outcome.seconds)
        print(
            f"{len(outcomes)} inputs in {time.monotonic() - since:.0f} s; the slowest took "
            f"{slowest.seconds:.1f} s ({slowest.target} {slowest.name}, {slowest.origin})",
            flush=True,
        )
        found[part] = outcomes
    if given.json:
        content = {part: [o.to_dict() for o in outcomes] for part, outcomes in found.items()}
        given.json.write_text(json.dumps(content, indent=1) + "\n")
    return int(not all(outcome.good for outcomes in found.values() for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
