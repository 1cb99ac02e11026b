"""Library of the powder patterns of known minerals, searched by correlation with a shift.

The shipped library holds the lines of the structures of the American Mineralogist Crystal
Structure Database (Downs and Hall-Wallace, Am. Mineral. 88, 247 (2003)), simulated by this package.
Patterns are compared at low resolution (0.1 degrees, lines of 0.2 degrees sigma), so that a search
forgives lattice parameters that differ by 1 %, and as square roots, so that weak lines count;
zero-point errors are found by shifting. A search is one matrix product.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.library_file import read_library, shipped, write_library
from ase_crystalnet.xrd.pattern import POINTS, STEP, TWO_THETA

if TYPE_CHECKING:
    from ase_crystalnet.xrd.simulated.structures import StructureSet

__all__ = ["CLOSE", "Matches", "PatternLibrary", "build_library"]

#: Version of the file; another version may mean something else by its arrays.
VERSION = 1
#: Correlation from which a match is close: above, nine of ten nearest patterns of measured minerals
#: (even id) have the right space group; below, one of twenty.
CLOSE = 0.6
#: Points of the patterns in one bin of the search, 0.1 degrees.
BINNING = 10
#: Bins of a pattern in the search.
BINS = POINTS // BINNING
#: Standard deviation of the lines in the search, degrees.
SIGMA = 0.2
#: Shifts that are tried, bins.
SHIFTS = (-1, 0, 1)
#: Lines below this share of the strongest, and beyond this number, are not stored.
WEAKEST = 0.01
MOST_LINES = 100
#: Entries of one space group that correlate above this are one: the same mineral again.
SAME = 0.99
_BUILDER = "crystalnet xrd library"
#: Kinds of the arrays: unsigned and signed integers, text.
_KINDS = {
    "angle": "u",
    "height": "u",
    "offsets": "iu",
    "space_group": "iu",
    "identifier": "U",
    "mineral": "U",
    "formula": "U",
}
_UNNAMED = ("", "<missing>")


@dataclass(frozen=True)
class Matches:
    """The most similar entries of a library, best first, for each of B patterns.

    Quantities: see docs/glossary.md.

    Attributes
    ----------
    entry : (B, K) int array
        Index into the library.
    correlation : (B, K) float32 array
        Pearson correlation of the square roots at low resolution, best of the shifts.
    shift : (B, K) float32 array
        By how much the pattern lies above the entry, degrees two-theta.
    by_group : (B, 230) float32 array
        Best correlation with any entry of each space group; -1 where the library has none.
    """

    entry: NDArray[np.int64]
    correlation: NDArray[np.float32]
    shift: NDArray[np.float32]
    by_group: NDArray[np.float32]

    @property
    def close(self) -> NDArray[np.bool_]:
        """Whether the best entry is a close match (B,)."""
        return np.asarray(self.correlation[:, 0] >= CLOSE)

    def widened(self, number: int) -> Matches:
        """With so many entries for each pattern, the last one again where there were fewer."""
        place = np.minimum(np.arange(number), self.entry.shape[1] - 1)
        parts = (self.entry[:, place], self.correlation[:, place], self.shift[:, place])
        return Matches(*parts, self.by_group)

    def with_rows(self, rows: NDArray[np.bool_], other: Matches) -> Matches:
        """With the rows of a mask taken from others, in their order."""
        found = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, values in found.items():
            values[rows] = getattr(other, name)
        return Matches(**found)

    def joined(self, other: Matches) -> Matches:
        """These patterns and others after them."""
        return Matches(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )


@dataclass(frozen=True)
class PatternLibrary:
    """Lines of M known patterns in flat arrays.

    Attributes
    ----------
    angle : (L,) uint16 array
        Two-theta of the lines (Cu K-alpha), in hundredths of degrees.
    height : (L,) uint8 array
        255 times the square root of the intensity over the strongest line's.
    offsets : (M + 1,) int32 array
        Entry i has the lines ``offsets[i]:offsets[i + 1]``.
    space_group : (M,) uint8 array
    identifier, mineral, formula : (M,) str arrays
        Entry of the database ("amcsd3"), its name or "", its formula.
    """

    angle: NDArray[np.uint16]
    height: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    space_group: NDArray[np.uint8]
    identifier: NDArray[np.str_]
    mineral: NDArray[np.str_]
    formula: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.space_group)

    def name(self, entry: int) -> str:
        """Mineral and formula of an entry, in words."""
        mineral, formula = str(self.mineral[entry]), str(self.formula[entry])
        return f"{mineral} ({formula})" if mineral else formula

    @classmethod
    def load(cls, path: Path | None = None) -> PatternLibrary:
        """Read a library, the shipped one by default.

        Raises
        ------
        ModelError
            It is not there, damaged, or of another version.
        """
        again = f"install the package again, or build it anew by `{_BUILDER}`"
        content = read_library(
            path or shipped("minerals.npz"), cls, VERSION, _problem,
            what="library of patterns", again=again, missing="install the package again",
        )  # fmt: skip
        return cls(**content)

    def save(self, path: Path) -> None:
        """Write as a compressed .npz file, whole or not at all."""
        write_library(self, path, VERSION)

    def subset(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> PatternLibrary:
        """The entries of a mask or an index array."""
        chosen = np.arange(len(self))[keep]
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        lines = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        return PatternLibrary(
            self.angle[lines],
            self.height[lines],
            offsets,
            self.space_group[chosen],
            self.identifier[chosen],
            self.mineral[chosen],
            self.formula[chosen],
        )

    @classmethod
    def from_structures(
        cls,
        structures: StructureSet,
        formulas: dict[str, str] | None = None,
        log: Callable[[str], None] = lambda text: None,
    ) -> PatternLibrary:
        """Library of a set of structures; near-duplicates of one space group become one entry.

        Parameters
        ----------
        structures : StructureSet
        formulas : dict, optional
            Identifier -> formula as the source writes it; by default the set's.
        log : callable
            Takes one line of progress.

        Raises
        ------
        InputError
            No structure has a line between 5 and 90 degrees.
        """
        from ase_crystalnet.xrd.simulated.reflections import peaks

        kept, angles, heights = [], [], []
        for i in range(len(structures)):
            angle, intensity = peaks(structures.reflections(i), tolerance=2 * STEP)
            strong = np.argsort(-intensity)[:MOST_LINES]
            strong = np.sort(strong[intensity[strong] >= 100 * WEAKEST])
            if not len(strong):
                continue
            kept.append(i)
            angles.append(np.round(angle[strong] * 100).astype(np.uint16))
            heights.append(np.round(255 * np.sqrt(intensity[strong] / 100)).astype(np.uint8))
        if not kept:
            raise InputError("no structure has a line between 5 and 90 degrees")
        whole = cls(
            np.concatenate(angles),
            np.concatenate(heights),
            np.concatenate([[0], np.cumsum([len(a) for a in angles])]).astype(np.int32),
            structures.space_group[kept].astype(np.uint8),
            structures.identifier[kept],
            np.array(["" if m in _UNNAMED else m for m in structures.mineral[kept]]),
            np.array(
                [
                    (formulas or {}).get(str(identifier)) or _plain(str(formula))
                    for identifier, formula in zip(
                        structures.identifier[kept], structures.formula[kept], strict=True
                    )
                ]
            ),
        )
        unique = whole.subset(whole._distinct())
        log(f"{len(whole)} patterns, {len(unique)} without near-duplicates")
        return unique

    def _distinct(self) -> NDArray[np.int64]:
        """One entry of each kind: named ones before unnamed, earlier before later."""
        features = self._features
        order = np.lexsort((np.arange(len(self)), self.mineral == ""))
        keep: list[int] = []
        for group in np.unique(self.space_group):
            mine = order[self.space_group[order] == group]
            alike = features[mine] @ features[mine].T > SAME
            taken = np.zeros(len(mine), bool)
            for i in range(len(mine)):
                if not (alike[i] & taken).any():
                    taken[i] = True
            keep.extend(mine[taken])
        return np.sort(np.array(keep, np.int64))

    @cached_property
    def _roots(self) -> NDArray[np.float32]:
        """Square roots of the smoothed patterns (M, 850)."""
        patterns = np.zeros((len(self), BINS), np.float32)
        entry = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        place = (self.angle.astype(np.int64) - round(TWO_THETA[0] * 100)) // BINNING
        inside = (place >= 0) & (place < BINS)
        strength = (self.height.astype(np.float32) / 255) ** 2
        np.add.at(patterns, (entry[inside], place[inside]), strength[inside])
        return np.sqrt(np.maximum(_smooth(patterns), 0))

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        """Rows of length 1 and mean 0 (M, 850): their products are correlations."""
        return _standardized(self._roots)

    def search(
        self,
        patterns: ArrayLike,
        *,
        top: int = 5,
        covered: tuple[float, float] | None = None,
    ) -> Matches:
        """Most similar entries.

        Parameters
        ----------
        patterns : (B, 8500) array
            Intensities on `pattern.TWO_THETA`, background subtracted.
        top : int
            Entries to give back for each.
        covered : (float, float), optional
            First and last angle that was measured, degrees; nothing beyond is compared.

        Raises
        ------
        InputError
            Patterns of another shape, or without any line where they were measured.
        """
        x = np.asarray(patterns, np.float32)
        if x.ndim != 2 or x.shape[1] != POINTS:
            raise InputError(f"patterns have shape {x.shape}; expected (B, {POINTS})")
        top = min(top, len(self))
        low, high = (0, BINS) if covered is None else _bins(covered)
        whole = (low, high) == (0, BINS)
        known = self._features if whole else _standardized(self._roots[:, low:high])
        roots = _measured_roots(x)[:, low:high]
        if not (np.ptp(roots, axis=1) > 0).all():
            raise InputError("a pattern has no line where it was measured")
        best = np.full((len(x), len(self)), -1, np.float32)
        moved = np.zeros(best.shape, np.int8)
        for shift in SHIFTS:
            # The pattern is moved against the library; what enters at the end is its last value.
            shifted = roots[:, np.clip(np.arange(high - low) + shift, 0, high - low - 1)]
            correlation = _standardized(shifted) @ known.T
            better = correlation > best
            best[better] = correlation[better]
            moved[better] = shift
        part = np.argpartition(-best, top - 1, axis=1)[:, :top]
        rank = np.argsort(-np.take_along_axis(best, part, 1), axis=1, kind="stable")
        entry = np.take_along_axis(part, rank, 1)
        return Matches(
            entry,
            np.take_along_axis(best, entry, 1),
            np.take_along_axis(moved, entry, 1).astype(np.float32) * (BINNING * STEP),
            self._best_of_groups(best),
        )

    def _best_of_groups(self, correlation: NDArray[np.float32]) -> NDArray[np.float32]:
        order = np.argsort(self.space_group, kind="stable")
        groups, starts = np.unique(self.space_group[order], return_index=True)
        out = np.full((len(correlation), 230), -1, np.float32)
        out[:, groups.astype(int) - 1] = np.maximum.reduceat(correlation[:, order], starts, axis=1)
        return out


def build_library(
    sources: Sequence[Path], *, processes: int = 1, log: Callable[[str], None] = lambda text: None
) -> PatternLibrary:
    """Library of folders of structures, and of lists of them.

    Parameters
    ----------
    sources : sequence of Path
        Folders of ``*.cif`` files or lists (`structures.build_structure_set`), or lists such as
        ``amcsd.jsonl.gz``. A list in the database's form needs the table of space-group settings
        beside it, or beside another of the sources.
    processes : int
        Worker processes.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        A source is none, or there is no usable structure.
    """
    from ase_crystalnet.xrd.simulated.structures import build_structure_set

    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            lists = [*source.glob("*.jsonl.gz"), *source.glob("*.json.gz")]
            files += [*sorted(lists), *sorted(source.rglob("*.cif"))]
        elif source.name.endswith(".jsonl.gz") and source.is_file():
            files += [source, *source.parent.glob("*settings.json.gz")]
        else:
            raise InputError(f"{source}: expected a folder of CIF files, or a .jsonl.gz list")
    formulas: dict[str, str] = {}
    with TemporaryDirectory() as place:
        for number, path in enumerate(dict.fromkeys(files)):
            # CIF files of one name in two folders are both wanted, lists keep theirs.
            name = path.name if path.name.endswith(".gz") else f"{number:06d}/{path.name}"
            (Path(place) / name).parent.mkdir(exist_ok=True)
            (Path(place) / name).symlink_to(path.resolve())
            if path.name.endswith(".jsonl.gz"):
                formulas |= _given_formulas(path)
        found = build_structure_set(Path(place), processes=processes, log=log)
    return PatternLibrary.from_structures(found, formulas, log)


def _problem(content: Mapping[str, NDArray[Any]]) -> str:
    """What is wrong with the arrays of a library, in words; empty if nothing is."""
    for name, kinds in _KINDS.items():
        if content[name].ndim != 1 or content[name].dtype.kind not in kinds:
            return f"{name} is of type {content[name].dtype} and shape {content[name].shape}"
    angle, height, offsets = content["angle"], content["height"], content["offsets"]
    entries, lines = len(content["space_group"]), len(angle)
    if entries == 0:
        return "it has no entry"
    if len(height) != lines:
        return f"{lines} angles and {len(height)} heights"
    for name in ("identifier", "mineral", "formula"):
        if len(content[name]) != entries:
            return f"{entries} space groups and {len(content[name])} in {name}"
    if len(offsets) != entries + 1:
        return f"{len(offsets)} offsets of {entries} entries"
    if offsets[0] != 0 or offsets[-1] != lines or (np.diff(offsets.astype(np.int64)) < 0).any():
        return f"offsets that do not rise from 0 to the {lines} lines"
    groups = content["space_group"]
    if groups.min() < 1 or groups.max() > 230:
        return f"space groups from {groups.min()} to {groups.max()}"
    return ""


def _given_formulas(path: Path) -> dict[str, str]:
    """Identifier -> formula as the database writes it."""
    from ase_crystalnet.xrd.simulated.sources import read_lines, record_of

    records = [record for record in map(record_of, read_lines(path)) if "amcsd_id" in record]
    return {f"amcsd{r['amcsd_id']}": " ".join(str(r.get("formula", "")).split()) for r in records}


def _bins(covered: tuple[float, float]) -> tuple[int, int]:
    low, high = (round((angle - TWO_THETA[0]) / (BINNING * STEP)) for angle in covered)
    return max(low, 0), min(high + 1, BINS)


def _smooth(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patterns (B, 850) with lines of `SIGMA`."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(coarse, SIGMA / (BINNING * STEP), axis=1, mode="nearest"))


def _measured_roots(patterns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Square roots of measured patterns: their noise floor, most of the points, is taken off."""
    smooth = _smooth(patterns.reshape(len(patterns), BINS, BINNING).mean(axis=2))
    floor = np.median(smooth, axis=1, keepdims=True)
    return np.asarray(np.sqrt(np.maximum(smooth - floor, 0)), np.float32)


def _standardized(roots: NDArray[np.float32]) -> NDArray[np.float32]:
    centered = roots - roots.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centered, axis=1, keepdims=True)
    return np.asarray(centered / np.maximum(norm, 1e-12), np.float32)


def _plain(formula: str) -> str:
    """ "S2 Fe1" as "S2 Fe"; the elements alone where the unit is a trace of one."""
    amounts = re.findall(r"([A-Z][a-z]?)([0-9.e+-]+)", formula)
    if any(float(number) > 100 for _, number in amounts):
        return "-".join(symbol for symbol, _ in amounts)
    return " ".join(symbol if number == "1" else symbol + number for symbol, number in amounts)
