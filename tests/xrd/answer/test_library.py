"""Library of known powder patterns and its search."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.xrd.answer import library as module
from ase_crystalnet.xrd.answer.library import Matches, PatternLibrary, build_library
from ase_crystalnet.xrd.pattern import TWO_THETA, broaden, system_of
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of


@pytest.fixture(scope="module")
def minerals() -> PatternLibrary:
    return PatternLibrary.load()


def pattern_of(crystal: object, fwhm: float = 0.12) -> np.ndarray:
    return broaden(*peaks(reflections_of(crystal)), fwhm)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("crystal", "space_group", "mineral"),
    [
        (bulk("Cu", "fcc", 3.615, cubic=True), 225, "Copper"),
        (bulk("NaCl", "rocksalt", 5.640, cubic=True), 225, "Halite"),
        (bulk("C", "diamond", 3.567, cubic=True), 227, "Diamond"),
        (bulk("ZnS", "zincblende", 5.409, cubic=True), 216, "Sphalerite"),
        (bulk("Fe", "bcc", 2.866, cubic=True), 229, "Iron"),
    ],
)
def test_known_crystals_are_found(
    minerals: PatternLibrary, crystal: object, space_group: int, mineral: str
) -> None:
    found = minerals.search(pattern_of(crystal)[None], top=20)
    assert minerals.space_group[found.entry[0, 0]] == space_group
    assert found.correlation[0, 0] > 0.97
    assert found.close[0]
    assert mineral in set(minerals.mineral[found.entry[0, :20]])


def test_an_entry_finds_itself(minerals: PatternLibrary, rng: np.random.Generator) -> None:
    chosen = rng.choice(len(minerals), 25, replace=False)
    patterns = []
    for i in chosen:
        lines = slice(minerals.offsets[i], minerals.offsets[i + 1])
        strength = (minerals.height[lines] / 255.0) ** 2
        patterns.append(broaden(minerals.angle[lines] / 100, strength, 0.1))
    found = minerals.search(np.array(patterns))
    assert (found.correlation[:, 0] > 0.95).all()
    own = [found.entry[k].tolist().index(i) for k, i in enumerate(chosen) if i in found.entry[k]]
    assert len(own) == len(chosen)  # alone or among near twins of other space groups


def test_shifted_and_noisy_patterns_are_still_found(
    minerals: PatternLibrary, rng: np.random.Generator
) -> None:
    angle, intensity = peaks(reflections_of(bulk("NaCl", "rocksalt", 5.640, cubic=True)))
    plain = minerals.search(broaden(angle, intensity, 0.12)[None])
    for shift in (-0.1, 0.1):
        moved = broaden(angle + shift, intensity, 0.12)
        noisy = np.maximum(moved + rng.normal(0, 0.02, moved.shape), 0)
        found = minerals.search(noisy[None])
        assert minerals.mineral[found.entry[0, 0]] == minerals.mineral[plain.entry[0, 0]]
        assert found.correlation[0, 0] > 0.85
        assert np.sign(found.shift[0, 0]) == np.sign(shift)
    assert plain.shift[0, 0] == 0


def test_scale_and_batch_do_not_matter(minerals: PatternLibrary) -> None:
    a, b = (pattern_of(bulk(s, cubic=True)) for s in ("Cu", "Fe"))
    together = minerals.search(np.array([a, 700 * b]))
    for row, pattern in enumerate((a, b)):
        alone = minerals.search(pattern[None])
        np.testing.assert_array_equal(alone.entry[0], together.entry[row])
        np.testing.assert_allclose(alone.correlation[0], together.correlation[row], atol=1e-5)


def test_only_the_measured_part_is_compared(minerals: PatternLibrary) -> None:
    pattern = pattern_of(bulk("NaCl", "rocksalt", 5.640, cubic=True))
    cut = np.where((TWO_THETA > 20) & (TWO_THETA < 60), pattern, 0)
    blind = minerals.search(cut[None])
    told = minerals.search(cut[None], covered=(20, 60))
    assert told.correlation[0, 0] > 0.97 > blind.correlation[0, 0]


def test_best_of_each_group(minerals: PatternLibrary) -> None:
    found = minerals.search(pattern_of(bulk("Cu", cubic=True))[None], top=len(minerals))
    groups = minerals.space_group[found.entry[0]]
    for number in (1, 14, 62, 225, 227):
        best = found.correlation[0][groups == number].max()
        assert found.by_group[0, number - 1] == pytest.approx(best)
    absent = np.setdiff1d(np.arange(1, 231), minerals.space_group)
    assert (found.by_group[0, absent - 1] == -1).all()
    order = found.correlation[0]
    assert (np.diff(order) <= 0).all()


def test_a_library_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "cifs"
    folder.mkdir()
    for symbol in ("Cu", "Al", "Fe", "Si"):
        write(folder / f"{symbol}.cif", bulk(symbol, cubic=True))
    said: list[str] = []
    own = build_library([folder], log=said.append)
    assert sorted(own.identifier) == ["Al", "Cu", "Fe", "Si"]
    assert dict(zip(own.identifier, own.space_group, strict=True)) == {
        "Cu": 225, "Al": 225, "Fe": 229, "Si": 227
    }  # fmt: skip
    assert "4 patterns" in said[-1]
    path = tmp_path / "own.npz"
    own.save(path)
    again = PatternLibrary.load(path)
    found = again.search(pattern_of(bulk("Si", cubic=True))[None])
    assert again.name(int(found.entry[0, 0])) == "Si"
    np.testing.assert_array_equal(again.angle, own.angle)


def test_near_duplicates_become_one(tmp_path: Path) -> None:
    folder = tmp_path / "cifs"
    folder.mkdir()
    for i, a in enumerate((5.640, 5.643, 5.9)):
        write(folder / f"{i}.cif", bulk("NaCl", "rocksalt", a, cubic=True))
    assert sorted(build_library([folder]).identifier) == ["0", "2"]


def test_formulas_of_the_database(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "structures"
    with gzip.open(source / "amcsd.jsonl.gz", "rt") as file:
        rows = [next(file) for _ in range(40)]
    with gzip.open(tmp_path / "amcsd.jsonl.gz", "wt") as file:
        file.writelines(rows)
    settings = "amcsd_spacegroup_settings.json.gz"
    (tmp_path / settings).write_bytes((source / settings).read_bytes())
    own = build_library([tmp_path / "amcsd.jsonl.gz"])
    known = {f"amcsd{r['amcsd_id']}": r for r in map(json.loads, rows)}
    for identifier, formula, group in zip(
        own.identifier, own.formula, own.space_group, strict=True
    ):
        assert formula == " ".join(known[identifier]["formula"].split())
        assert group == known[identifier]["sg"]


def test_measured_minerals(minerals: PatternLibrary, data_dir: Path) -> None:
    """The shipped library on measured patterns (never seen by anything that was tuned: odd id)."""
    path = data_dir / "xrd" / "measured_powder_patterns.npz"
    with np.load(path) as data:
        odd = data["ids"] % 2 == 1
        patterns, group = data["X"][odd], data["space_group"][odd]
    found = minerals.search(patterns)
    answer = minerals.space_group[found.entry[:, 0]]
    sure = np.argsort(-found.correlation[:, 0])[: len(group) // 2]
    assert (system_of(answer) == system_of(group)).mean() > 0.62
    assert (answer == group).mean() > 0.52
    assert (answer == group)[sure].mean() > 0.91
    assert (answer == group)[found.close].mean() > 0.85


@pytest.mark.parametrize("shape", [(8500,), (2, 850)])
def test_patterns_of_another_shape(minerals: PatternLibrary, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        minerals.search(np.ones(shape))


def test_a_pattern_of_nothing(minerals: PatternLibrary) -> None:
    with pytest.raises(InputError, match="no line"):
        minerals.search(np.zeros((1, 8500)))


def test_damaged_and_missing_files(tmp_path: Path, minerals: PatternLibrary) -> None:
    with pytest.raises(ModelError, match="missing"):
        PatternLibrary.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ModelError, match="no library"):
        PatternLibrary.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", version=99)
    with pytest.raises(ModelError, match="version 99"):
        PatternLibrary.load(tmp_path / "other.npz")


@pytest.mark.parametrize("place", np.linspace(0.02, 0.98, 20))
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_library_is_refused_in_one_line(tmp_path, minerals, place, damage):
    minerals.subset(np.arange(50)).save(tmp_path / "a.npz")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    at = int(place * len(data))
    if damage == "cut":
        del data[at:]
    else:
        data[at : at + 40] = np.random.default_rng(at).bytes(40)
    (tmp_path / "a.npz").write_bytes(data)
    with contextlib.suppress(ModelError):  # a name or a time in an archive may be anything
        PatternLibrary.load(tmp_path / "a.npz")
        assert damage == "noise"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("angle", lambda a: a.astype(float), "angle is of type float64"),
        ("angle", lambda a: a[:-1], "angles and"),
        ("height", lambda a: a.reshape(1, -1), "shape"),
        ("offsets", lambda a: a[:-1], "offsets of"),
        ("offsets", lambda a: a + 1, "do not rise"),
        ("offsets", lambda a: np.concatenate([a[:1], a[-2:0:-1], a[-1:]]), "do not rise"),
        ("space_group", lambda a: a * 0, "space groups from 0"),
        ("space_group", lambda a: a * 0 + 231, "to 231"),
        ("space_group", lambda a: a[:0], "no entry"),
        ("mineral", lambda a: a[1:], "in mineral"),
        ("formula", lambda a: a.astype("S"), "formula is of type"),
        ("identifier", lambda a: a.astype(object), "objects"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, minerals, name, change, words):
    minerals.subset(np.arange(50)).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as data:
        content = dict(data)
    content[name] = change(content[name])
    np.savez(tmp_path / "b.npz", **content)
    with pytest.raises(ModelError, match=words):
        PatternLibrary.load(tmp_path / "b.npz")


def test_a_library_that_is_a_pipe_or_a_single_array(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.arange(3))
    for name, words in (("a.npz", "is a pipe"), ("b.npy", "no library")):
        with pytest.raises(ModelError, match=words):
            PatternLibrary.load(tmp_path / name)


@pytest.mark.parametrize("content", ["cut", "no json", "no record", "other fields"])
def test_damaged_lists_of_structures_are_refused_in_one_line(tmp_path, content):
    rows = {"no json": b"{", "no record": b"[1]", "other fields": b'{"amcsd_id": 1}'}
    packed = gzip.compress(rows.get(content, bytes(range(256)) * 100) + b"\n")
    (tmp_path / "a.jsonl.gz").write_bytes(packed[:-20] if content == "cut" else packed)
    with pytest.raises(InputError) as error:
        build_library([tmp_path])
    assert len(str(error.value).splitlines()) == 1


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CIF files"):
        build_library([tmp_path / "none"])
    with pytest.raises(InputError, match="no structures"):
        build_library([tmp_path])


def test_matches_know_what_is_close() -> None:
    correlation = np.array([[0.9, 0.2], [0.1, 0.0]], np.float32)
    matches = Matches(np.zeros((2, 2), int), correlation, correlation * 0, np.zeros((2, 230)))
    assert matches.close.tolist() == [True, False]
    edge = replace(matches, correlation=correlation * 0 + module.CLOSE)
    assert edge.close.all()
