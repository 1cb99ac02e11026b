"""Elements of the Materials Project and of AFLOW: test sets that no generator made."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ase_crystalnet.crystals.elements import apart
from ase_crystalnet.crystals.prototypes import MARGIN
from ase_crystalnet.errors import InputError
from ase_crystalnet.reproduce.report import Check, Report, Table
from ase_crystalnet.reproduce.store import Memo
from ase_crystalnet.reproduce.ziletti2018.bench import Bench
from ase_crystalnet.reproduce.ziletti2018.measure import most_probable, score
from ase_crystalnet.training.ziletti2018.evaluate import Known, database_elements

__all__ = ["databases"]

#: What the names of a database's entries begin with.
_SOURCES = {"Materials Project": "mp-", "AFLOW": "aflow"}


def _is_apart(known: Known) -> bool:
    """Whether no other class is as near as what the training leaves out."""
    group = int(known.name.rsplit("(", 1)[1].rstrip(")"))
    return apart(group, known.atoms.cell.array, known.atoms.get_scaled_positions())


def databases(memo: Memo, bench: Bench) -> Report:
    """Elements of the Materials Project and of AFLOW: test sets that no generator made.

    Raises
    ------
    InputError
        The folder was not given, or holds none of them.
    """
    if bench.data is None:
        raise InputError("databases needs --data DIR, a folder with structures/*.jsonl.gz")
    known = database_elements(bench.data / "structures")

    def make(prefix: str) -> dict[str, Any]:
        entries = [k for k in known if k.name.split()[1].startswith(prefix)]
        truth = np.array([bench.classes.index(k.label) for k in entries], np.int64)
        probabilities = bench.probabilities([k.atoms for k in entries])
        labels = most_probable(probabilities)
        clear = np.array([_is_apart(k) for k in entries], bool)
        wrong = [
            [
                entries[i].name,
                entries[i].label,
                bench.classes[labels[i]] if labels[i] >= 0 else "none",
                float(probabilities[i].max()),
                "" if clear[i] else "no",
            ]
            for i in np.flatnonzero(labels != truth)
        ]
        clearly = score(labels[clear], truth[clear], bench.classes)
        return score(labels, truth, bench.classes) | {"entries": wrong, "apart": clearly}

    rows = {name: memo(name, partial(make, prefix)) for name, prefix in _SOURCES.items()}
    percent = rows["Materials Project"]["percent"]
    check = Check(
        "Materials Project elements", "at least 99.5 %", f"{percent:.2f} %", percent >= 99.5
    )
    tables = [
        Table(
            "Elements of the eight space groups, percent right",
            ("database", "elements", "all", "apart", "of these right", *bench.classes),
            [
                [name, row["structures"], row["percent"]]
                + [row["apart"]["structures"], row["apart"]["percent"]]
                + [row["percent_by_class"].get(c) for c in bench.classes]
                for name, row in rows.items()
            ],
            "Apart: those with no crystal of another class within the distance that the training "
            f"leaves out, {100 * MARGIN:g} % (spglib with that tolerance).",
        )
    ]
    wrong = [entry for row in rows.values() for entry in row["entries"]]
    if wrong:
        header = ("cell, entry, space group", "class", "taken for", "certainty", "apart")
        tables.append(Table("Taken for another class", header, wrong, decimals=3))
    return Report(tuple(tables), (check,), (), {"rows": rows})
