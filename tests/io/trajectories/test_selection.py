"""Which atoms count: words, masks, callables."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.selection import check_selection, chosen_atoms, mask_of


def some() -> Atoms:
    atoms = Atoms("OHHOHHCu2", [[0, 0, z] for z in range(8)], cell=[8, 8, 8], pbc=True)
    atoms.arrays["type"] = np.array([1, 2, 2, 1, 2, 2, 3, 3])
    atoms.arrays["name"] = np.array(["OW", "HW1", "HW2", "OW", "HW1", "HW2", "M", "M"])
    atoms.arrays["c_csp"] = np.arange(8.0)[::-1]
    return atoms


CHOICES = {
    "element O": [0, 3],
    "element O Cu": [0, 3, 6, 7],
    "element O, Cu": [0, 3, 6, 7],
    "type 1 3": [0, 3, 6, 7],
    "type 1-2": [0, 1, 2, 3, 4, 5],
    "type == 3": [6, 7],
    "name OW": [0, 3],
    "name HW*": [1, 2, 4, 5],
    "type HW1": [1, 4],
    "z < 3": [0, 1, 2],
    "z<3": [0, 1, 2],
    "2 < z <= 4": [3, 4],
    "z >= 1 and element O": [3],
    "element O or element Cu": [0, 3, 6, 7],
    "not element H": [0, 3, 6, 7],
    "not (element H or z > 5)": [0, 3],
    "index 0:2": [0, 1, 2],
    "c_csp < 2": [6, 7],
    "all": list(range(8)),
}


@pytest.mark.parametrize("text", CHOICES)
def test_words(text):
    assert np.flatnonzero(mask_of(some(), text)).tolist() == CHOICES[text]
    check_selection(text)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "element", "z <", "z < < 3", "(element O", "element O)", "1 2",
     "type 1 < 2", "not " * 200 + "all", "(" * 200, "q" * 9999, "z ! 3"],
)  # fmt: skip
def test_what_cannot_be_understood_is_one_line(text):
    for call in (lambda: mask_of(some(), text), lambda: check_selection(text)):
        with pytest.raises(InputError, match="expected a choice such as") as error:
            call()
        assert len(str(error.value).splitlines()) == 1


def test_nothing_chosen_says_what_there_is():
    with pytest.raises(InputError, match=r"none of the 8 atoms; there are types 1 2 3 and names"):
        mask_of(some(), "element Fe")


def test_masks_indices_and_callables():
    atoms = some()
    heavy = atoms.numbers > 1
    for only in (heavy, np.flatnonzero(heavy), lambda a: a.numbers > 1, lambda a: "not element H"):
        kept = chosen_atoms(atoms, only)
        assert kept.get_chemical_formula() == "Cu2O2"
        np.testing.assert_array_equal(kept.cell[:], atoms.cell[:])
    assert len(atoms) == 8
    for wrong in (heavy[:3], [9], np.ones((8, 3)), "z < -1", lambda a: np.zeros(8, bool)):
        with pytest.raises(InputError):
            chosen_atoms(atoms, wrong)


def test_origin_and_info_are_kept():
    atoms = some()
    atoms.set_celldisp([1, 2, 3])
    atoms.info["time"] = 5.0
    kept = chosen_atoms(atoms, "element O")
    np.testing.assert_array_equal(np.ravel(kept.get_celldisp()), [1, 2, 3])
    assert kept.info["time"] == 5.0


@given(st.text(alphabet="elmnt OHtype12<>=()andorxyz.-:,*", max_size=40))
def test_any_text_is_a_mask_or_one_line(text):
    try:
        mask = mask_of(some(), text)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert mask.shape == (8,) and mask.any()
