"""Damaged inputs end in an answer or in one line: a few hundred, and all that ever failed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from tests.fuzz.__main__ import clean_answers
from tests.fuzz.cases import WARM, corpus, damaged
from tests.fuzz.harmless import CHANGES, changed
from tests.fuzz.mutations import KINDS, Damage, apply
from tests.fuzz.seeds import Seed, all_seeds
from tests.fuzz.supervisor import GOOD, Case, Outcome, supervise
from tests.fuzz.targets import run

COUNT = 300
#: `python -m tests.fuzz` has it. TensorFlow takes longer to import than all other cases together.
LEFT_OUT = ("network",)


@pytest.fixture(scope="module")
def seeds() -> list[Seed]:
    return [seed for seed in all_seeds() if seed.target not in LEFT_OUT]


def _said(outcomes: list[Outcome]) -> str:
    return "\n".join(
        f"{o.target} {o.name} ({o.origin}): {o.kind} {o.said}" for o in outcomes if not o.good
    )


def test_seeds_are_valid(seeds):
    """Otherwise every damage is refused for the same reason."""
    cases = [Case(seed.target, seed.name, seed.content) for seed in seeds]
    for outcome in supervise(cases, run, warm=WARM):
        # The two zipped scans have what we read of them ourselves, not all that geddes asks for.
        if not outcome.name.endswith((".rasx", ".brml")):
            assert outcome.kind == "answer", f"{outcome.target} {outcome.name}: {outcome.said}"


def test_damaged_inputs_are_answered_or_refused_in_one_line(seeds):
    outcomes = list(supervise(damaged(seeds, COUNT), run, warm=WARM))
    assert len(outcomes) == COUNT
    assert all(outcome.good for outcome in outcomes), _said(outcomes)
    assert {outcome.kind for outcome in outcomes} == set(GOOD)


#: Harmless changes after which a file is refused, in one line: parts of its origin.
REFUSED_CHANGES = (
    ("x.csv", "columns of csv"),  # the first column is the angle, whatever the header says
    (".gz", "capitals"), (".xz", "capitals"), (".bz2", "capitals"),  # .GZ is not known, as in ASE
    ("card.json", "mark of utf-8"),
    # Binary: they are to be unpacked first.
    ("x.dcd", "packing"), ("x.xtc", "packing"), ("x.trr", "packing"), ("x.nc", "packing"),
)  # fmt: skip


def test_harmless_changes_leave_the_answer_as_it_is(seeds):
    """To the last bit. Each change of each seed alone, then some two at a time."""
    answers = clean_answers(seeds, WARM)
    kinds = [kind for seed in seeds for kind, change in CHANGES.items() if change.fits(seed)]
    outcomes = list(supervise(changed(seeds, answers, len(kinds) + 40), run, warm=WARM))
    assert all(outcome.good for outcome in outcomes), _said(outcomes)
    for outcome in outcomes:
        if outcome.kind == "refused":
            known = (all(part in outcome.origin for part in parts) for parts in REFUSED_CHANGES)
            assert any(known), outcome
    answers_to = [outcome.origin for outcome in outcomes if outcome.kind == "answer"]
    answered = {kind for kind in CHANGES if any(kind in origin for origin in answers_to)}
    assert answered == set(CHANGES)


def test_what_ever_failed_does_so_no_more():
    cases = corpus()
    assert cases, "the corpus is not there"
    outcomes = list(supervise(cases, run, warm=WARM))
    assert len(outcomes) == len(cases)
    assert all(outcome.good for outcome in outcomes), _said(outcomes)


DAMAGES = st.lists(
    st.builds(
        Damage,
        st.sampled_from(sorted(KINDS)),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1),
        st.integers(0, 2**30),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_plan_of_damages_can_be_done(seeds, data):
    """Hypothesis looks for the plan, a batch at a time, and makes it short where it fails."""
    cases = []
    for _ in range(8):
        seed = data.draw(st.sampled_from(seeds))
        plan = data.draw(DAMAGES)
        cases.append(Case(seed.target, seed.name, apply(seed.content, plan), repr(plan)))
    outcomes = list(supervise(cases, run, processes=1, warm=("ase.io",)))
    assert all(outcome.good for outcome in outcomes), _said(outcomes)


def test_another_answer_is_silently_wrong(seeds):
    """One digit of one coordinate, one angle or one bound: the oracle sees it."""
    [trajectory] = [s for s in seeds if (s.target, s.name) == ("trajectory", "x.pdb")]
    [scan] = [s for s in seeds if (s.target, s.name) == ("scan", "x.xy")]
    [ranges] = [s for s in seeds if (s.target, s.name) == ("atom probe", "x.rrng")]
    answers = clean_answers([trajectory, scan, ranges], WARM)
    cases = []
    for seed, old, new in (
        (trajectory, b"CRYST1    3.6", b"CRYST1    3.7"),
        (scan, b"\n20.00 ", b"\n20.01 "),
        (ranges, b"26.8", b"26.9"),
    ):
        assert seed.content.count(old) == 1
        content = seed.content.replace(old, new)
        wanted = answers[seed.target, seed.name]
        cases.append(Case(seed.target, seed.name, seed.content, "clean", wanted))
        cases.append(Case(seed.target, seed.name, content, "changed", wanted))
    kinds = [outcome.kind for outcome in supervise(cases, run, processes=1, warm=WARM)]
    assert kinds == ["answer", "silently wrong"] * 3


# ------------------------------------------------------------- the supervisor sees what it should
def _misbehave(target: str, path: Path, out: Path) -> None:
    if target == "hang":
        time.sleep(600)
    elif target == "crash":
        os.abort()
    elif target == "traceback":
        raise KeyError("x")
    elif target == "memory":
        _ = bytearray(4 * 2**30)
    elif target == "many lines":
        raise InputError("one\ntwo")
    elif target == "half-written":
        (out / "x.npz").touch()
    elif target == "refused":
        raise InputError("no")


@pytest.mark.parametrize(
    "kind",
    ["hang", "crash", "traceback", "memory", "many lines", "half-written", "refused", "answer"],
)
def test_the_supervisor_sees_what_goes_wrong(kind):
    cases = [Case(kind, "x", b""), Case("answer", "y", b"")]
    limit = 2.0 if kind == "hang" else 60.0
    ended = [o.kind for o in supervise(cases, _misbehave, processes=1, time_limit=limit)]
    assert ended == [kind, "answer"]
