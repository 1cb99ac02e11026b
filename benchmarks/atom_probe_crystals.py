"""Known crystals in reconstructions: order, names of poles, boundaries of phases, large files.

Parts of ``benchmarks/atom_probe.py``: `order`, `detection`, `poles`, `boundaries`, `large`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, peak_memory, show, where, write_json
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import binomtest

from ase_crystalnet.atom_probe import (
    IonWindower,
    OrderFinder,
    OrderFindings,
    analyze_windows,
    map_order,
    name_poles,
    read_crystal,
    reflections_of,
)
from ase_crystalnet.atom_probe.order.composition import WIDTH, local_share
from ase_crystalnet.training.atom_probe.tip_files import ranged_tip, write_tip
from ase_crystalnet.training.atom_probe.tips import MATERIALS, TipPlan, simulate_tip

__all__ = ["boundaries", "detection", "large", "order", "poles"]

Array = NDArray[np.float64]
#: Edge of the cell, Angstrom, and share of the solute, of the alloys.
EDGE, CONTENT = 3.57, 0.25
SITES = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
DEPTH = 0.3
#: Ordered share of the own sublattice less that of the others is 1.
ALLOYS = ("random", "clustered", "density step", "gradient of composition")


# ---------------------------------------------------------------------------- order
def alloy(
    kind: str, ions: int, efficiency: float, lateral: float, tilt: float, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_], float, Array]:
    """Ions around one window, which are solute, its radius, and the orientation.

    Lengths in Angstrom. [001] lies within `tilt` degrees of depth; 180: at random.
    """
    radius = float((3 * ions * EDGE**3 / (16 * np.pi * efficiency)) ** (1 / 3))
    reach = radius + 3 * WIDTH + 4 * lateral
    lean = np.arccos(1 - rng.random() * (1 - np.cos(np.deg2rad(tilt))))
    turn = (
        Rotation.from_euler("z", rng.uniform(0, 2 * np.pi))
        * Rotation.from_euler("x", lean)
        * Rotation.from_euler("z", rng.uniform(0, 2 * np.pi))
    )
    half = int(np.ceil(reach / EDGE)) + 1
    axis = np.arange(-half, half + 1)
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = ((cells[:, None] + SITES).reshape(-1, 3) + rng.random(3)) * EDGE
    own = np.tile(np.arange(4) == 0, len(cells))
    inside = (points**2).sum(axis=1) < reach**2
    points, own = turn.apply(points[inside]), own[inside]
    share = np.full(len(points), CONTENT)
    if kind == "L1_2":
        share = own.astype(float)
    elif kind == "clustered":
        # Clusters of 0.8 nm with 70 % of solute in a matrix of 5 %.
        count = max(int(4e-5 * 8 * reach**3), 1)
        far = cKDTree(rng.uniform(-reach, reach, (count, 3))).query(points)[0]
        share = np.where(far < 8.0, 0.7, 0.05)
    elif kind == "gradient of composition":
        share = np.clip(CONTENT * (1 + points[:, 2] / radius), 0, 1)
    solute = rng.random(len(points)) < share
    seen = np.full(len(points), efficiency)
    if kind == "density step":
        seen = np.where(points[:, 0] > 0, 1.3, 0.7) * efficiency
    kept = rng.random(len(points)) < seen
    points = points[kept] + rng.normal(size=(int(kept.sum()), 3)) * [lateral, lateral, DEPTH]
    return points, solute[kept], radius, turn.as_matrix()


def judged(
    kind: str,
    ions: int,
    efficiency: float,
    lateral: float,
    tilt: float,
    count: int,
    rng: np.random.Generator,
) -> OrderFindings:
    """Order of so many windows of an alloy, whose lattice is known."""
    reflections = reflections_of("L1_2", read_crystal(f"fcc:{EDGE}"))
    found = []
    for _ in range(count):
        points, solute, radius, turn = alloy(kind, ions, efficiency, lateral, tilt, rng)
        share = local_share(points, solute)
        inside = (points**2).sum(axis=1) < radius**2
        excess = (solute - share)[inside][None]
        variance = (share * (1 - share))[inside][None]
        window = points[inside][None].astype(np.float32)
        finder = OrderFinder(reflections, turn)
        found.append(finder(window, np.ones(excess.shape, bool), excess, variance))
    return OrderFindings.concatenate(found)


def order(given: argparse.Namespace) -> dict[str, Any]:
    """False alarms of order in alloys without it."""
    result: dict[str, Any] = {"where": where(), "alarms": []}
    for kind in ALLOYS:
        for lateral in (0.5, 2.0):
            rng = np.random.default_rng([given.seed, len(result["alarms"])])
            found = judged(kind, 1000, 0.52, lateral, 10.0, given.windows, rng)
            row: dict[str, Any] = {"alloy": kind, "lateral": lateral / 10, "windows": given.windows}
            for rate in (0.01, 0.05):
                hits = int(np.count_nonzero(found.order_p_value < rate))
                interval = binomtest(hits, given.windows).proportion_ci(0.95, "exact")
                row[f"at {rate:.0%}"] = [
                    100 * hits / given.windows, 100 * interval.low, 100 * interval.high,
                ]  # fmt: skip
            result["alarms"].append(row)
            show(str(row))
    show("\n" + alarm_table(result["alarms"]))
    write_json(given.json, result)
    return result


def detection(given: argparse.Namespace) -> dict[str, Any]:
    """How often L1_2 is found, and the order parameter that it is given."""
    result: dict[str, Any] = {"where": where(), "detection": []}
    for tilt in (10.0, 180.0):
        for ions in given.ions:
            for efficiency in (0.36, 0.52, 0.8):
                for lateral in (0.0, 1.0, 2.0, 3.0, 4.0):
                    rng = np.random.default_rng(
                        [given.seed, int(tilt), ions, int(100 * efficiency), int(10 * lateral)]
                    )
                    count = given.per_class
                    found = judged("L1_2", ions, efficiency, lateral, tilt, count, rng)
                    hit = found.order_p_value < 0.01
                    row = {
                        "[001] within": tilt,
                        "ions": ions,
                        "efficiency": efficiency,
                        "lateral": lateral / 10,
                        "windows": count,
                        "found at 1 %": 100 * float(hit.mean()),
                        "S, mean of those found": float(np.mean(found.order[hit])),
                        "S, scatter": float(np.std(found.order[hit])),
                        "S, error stated": float(np.median(found.order_error[hit])),
                    }
                    result["detection"].append(row)
                    show(str(row))
    show("\n" + detection_table(result["detection"]))
    write_json(given.json, result)
    return result


def alarm_table(rows: list[dict[str, Any]]) -> str:
    body = [
        [
            r["alloy"],
            f"{r['lateral']:.2f} nm",
            r["windows"],
            "{:.2f} ({:.2f} to {:.2f})".format(*r["at 1%"]),
            "{:.1f} ({:.1f} to {:.1f})".format(*r["at 5%"]),
        ]
        for r in rows
    ]
    return markdown(["alloy", "lateral blur", "windows", "at 1 %", "at 5 %"], body)


def detection_table(rows: list[dict[str, Any]]) -> str:
    blurs = sorted({r["lateral"] for r in rows})
    keys = list(dict.fromkeys((r["[001] within"], r["ions"], r["efficiency"]) for r in rows))
    body = []
    for key in keys:
        own = {
            r["lateral"]: r for r in rows if (r["[001] within"], r["ions"], r["efficiency"]) == key
        }
        line: list[Any] = [
            "at random" if key[0] > 90 else f"within {key[0]:.0f}°", key[1], f"{key[2]:.0%}",
        ]  # fmt: skip
        line += [
            f"{own[b]['found at 1 %']:.0f} ({own[b]['S, mean of those found']:.2f})" for b in blurs
        ]
        body.append(line)
    return markdown(["[001]", "ions", "efficiency", *(f"{b:.1f} nm" for b in blurs)], body)


# ---------------------------------------------------------------------------- poles
def poles(given: argparse.Namespace) -> dict[str, Any]:
    """Names of the strongest three poles, and the depth scale, of tips of Al and W."""
    result: dict[str, Any] = {"where": where(), "tips": []}
    for material, axes in (("Al", ((0, 0, 1), (1, 1, 1))), ("W", ((0, 1, 1), (0, 1, 1)))):
        crystal = read_crystal(material)
        for number in range(given.tips):
            rng = np.random.default_rng([given.seed, number, ord(material[0])])
            scales = np.exp(rng.uniform(-0.06, 0.06, 2))
            plan = TipPlan(
                material, atoms=given.atoms, axis=axes[number % 2],
                efficiency=float(rng.choice([0.36, 0.52, 0.8])),
                lateral_scale=float(scales[0]), depth_scale=float(scales[1]),
            )  # fmt: skip
            tip = simulate_tip(plan, rng)
            with tempfile.TemporaryDirectory() as folder:
                ions = ranged_tip(tip, Path(folder))
            found = analyze_windows(IonWindower(1000).prepare(ions))
            row: dict[str, Any] = {
                "material": material, "axis": plan.axis, "efficiency": plan.efficiency,
                "ions": len(tip), "poles": len(found.poles), "depth scale, true": scales[1],
            }  # fmt: skip
            if found.poles:
                named = name_poles(found.poles, crystal)
                true = [_family(pole, tip.orientation, scales, crystal) for pole in found.poles]
                row["three right"] = len(true) >= 3 and list(named.names[:3]) == true[:3]
                row["named"] = sum(bool(name) for name in named.names)
                row["right"] = sum(a == b for a, b in zip(named.names, true, strict=True))
                row["certain"] = named.certain
                row["depth scale"] = named.depth_scale
                row["depth scale, error stated"] = named.depth_error
                row["orientation, degrees off"] = _off(named.orientation, tip.orientation)
                row["orientation, error stated"] = named.orientation_error
            result["tips"].append(row)
            show(str({k: v if not isinstance(v, float) else round(v, 4) for k, v in row.items()}))
            write_json(given.json, result)
    for material in ("Al", "W"):
        rows = [r for r in result["tips"] if r["material"] == material]
        off = [abs(r["depth scale"] / r["depth scale, true"] - 1) for r in rows if "named" in r]
        result[material] = {
            "tips": len(rows),
            "strongest three right, percent": 100
            * float(np.mean([r.get("three right", 0) for r in rows])),
            "poles named": sum(r.get("named", 0) for r in rows),
            "of these right": sum(r.get("right", 0) for r in rows),
            "depth scale off, percent, median and worst": [
                100 * float(np.median(off)), 100 * float(np.max(off)),
            ],
            "orientation off, degrees, median": float(
                np.median([r["orientation, degrees off"] for r in rows if "named" in r])
            ),
        }  # fmt: skip
        show(f"{material}: {result[material]}")
    write_json(given.json, result)
    return result


def _family(pole: Any, orientation: Array, scales: Array, crystal: Any) -> str:
    """The plane that a pole truly is; its scaled vector must lie at whole indices."""
    stretch = scales[[0, 0, 1]]
    exact = orientation @ (stretch * pole.normal / pole.spacing) * crystal.cell[0, 0]
    return str(crystal.label(np.rint(exact).astype(int)))


def _off(found: Array, orientation: Array) -> float:
    """Angle between orientations but for the cubic symmetry, degrees."""
    if not np.isfinite(found).all():
        return 180.0
    turns = Rotation.create_group("O").as_matrix()
    traces = np.einsum("ij,nij->n", orientation @ found, turns)
    return float(np.rad2deg(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))))


# ---------------------------------------------------------------------------- phases
def boundaries(given: argparse.Namespace) -> dict[str, Any]:
    """How far the boundaries of mapped precipitates are from the true ones."""
    result: dict[str, Any] = {"where": where(), "precipitates": []}
    reflections = reflections_of("L1_2", read_crystal(f"fcc:{MATERIALS['Ni3Al'].constant}"))
    for radius in (15.0, 30.0):
        for number in range(given.tips):
            rng = np.random.default_rng([given.seed, number, int(radius)])
            plan = TipPlan(
                "Ni3Al", atoms=given.atoms, precipitate_radius=radius, precipitate_share=0.05,
                opening=20.0,
            )  # fmt: skip
            tip = simulate_tip(plan, rng)
            with tempfile.TemporaryDirectory() as folder:
                ions = ranged_tip(tip, Path(folder))
            ranged = ions.species >= 0
            solute = np.array([i.name.startswith("Al") for i in ions.ions])[ions.species[ranged]]
            share = local_share(ions.positions[ranged], solute)
            excess, variance = np.zeros((2, len(ions)), np.float32)
            excess[ranged], variance[ranged] = solute - share, share * (1 - share)
            found = map_order(
                OrderFinder(reflections, tip.orientation.T), ions.positions, excess, variance,
                ions.species, len(ions.ions), lateral=plan.lateral, depth=plan.depth,
            )  # fmt: skip
            pole = tip.orientation[int(np.abs(tip.orientation[:, 2]).argmax())]
            pole = plan.curvature * pole[:2] * np.sign(pole[2])
            result["precipitates"] += _compared(tip, found, pole, radius, ions)
            write_json(given.json, result)
    rows = result["precipitates"]
    for radius in (15.0, 30.0):
        own = [r for r in rows if r["radius"] == radius / 10]
        near = [r for r in own if r["from the pole"] < 6.0]
        seen = [r for r in near if "boundary off" in r]
        result[f"radius {radius / 10} nm"] = {
            "precipitates": len(own),
            "within 6 nm of the pole": len(near),
            "found of these": len(seen),
            "found of the others": sum("boundary off" in r for r in own) - len(seen),
            "boundary off, nm, mean and worst": _mean_and_worst([r["boundary off"] for r in seen]),
            "solute, percent, mean": _mean_and_worst([r["solute"] for r in seen])[0],
            "joined with others": sum(r["joined"] > 0 for r in seen),
            "false regions": sum(r["from the pole"] < 0 for r in own),
        }
        show(f"radius {radius / 10} nm: {result[f'radius {radius / 10} nm']}")
    write_json(given.json, result)
    return result


def _mean_and_worst(values: list[float]) -> list[float]:
    return [float(np.mean(values)), float(np.max(values))] if values else [float("nan")] * 2


def _compared(tip: Any, found: Any, pole: Array, radius: float, ions: Any) -> list[dict[str, Any]]:
    """Each whole precipitate: the mean distance of its region's surface from the true one, nm."""
    rows, used = [], set()
    centers = np.array(
        [
            ions.positions[tip.precipitate == n].mean(axis=0)
            if (tip.precipitate == n).any()
            else np.full(3, 1e6)
            for n in range(len(tip.precipitate_centers))
        ]
    )
    for number, center in enumerate(tip.precipitate_centers):
        own = tip.precipitate == number
        sag = center[2] + tip.plan.curvature
        sag -= np.sqrt(tip.plan.curvature**2 - (center[:2] ** 2).sum())
        height = -tip.true_positions[~np.isnan(tip.true_positions[:, 0])][:, 2].min()
        row: dict[str, Any] = {
            "radius": radius / 10,
            "from the pole": float(np.linalg.norm(center[:2] - pole)) / 10,
        }
        regions = found.ion_region[own]
        count = np.bincount(regions[regions > 0], minlength=1)
        edge = np.linalg.norm(center[:2]) + radius
        view = tip.plan.curvature * np.sin(np.deg2rad(tip.plan.opening))
        full = 16 / 3 * np.pi * radius**3 / MATERIALS["Ni3Al"].constant ** 3
        whole = own.sum() > 0.8 * full * tip.plan.efficiency * 0.95 and edge < view and height > 0
        if count.sum() > 0.3 * own.sum():
            region = int(count.argmax())
            used.add(region)
            inside = found.region == region
            places = np.argwhere(inside & _shell(inside)) * found.edge + found.origin
            # From the nearest true surface: near precipitates can be one region.
            far = np.linalg.norm(places[:, None] - centers, axis=2)
            mine = far.argmin(axis=1) == number
            # The middle of a voxel of the shell lies half an edge within the surface.
            off = np.abs(far[mine, number] + found.edge / 2 - radius)
            row["boundary off"] = float(np.mean(off)) / 10
            others = np.unique(tip.precipitate[found.ion_region == region])
            row["joined"] = int(np.count_nonzero(others >= 0)) - 1
            kinds = found.phases[region - 1].counts[:-1]
            solute = np.array([i.name.startswith("Al") for i in ions.ions])
            row["solute"] = 100 * float(kinds[solute].sum() / kinds.sum())
        if whole:
            rows.append(row)
    rows += [
        {"radius": radius / 10, "from the pole": -1.0}
        for n in range(1, len(found.phases) + 1)
        if n not in used and not (tip.precipitate[found.ion_region == n] >= 0).any()
    ]
    return rows


def _shell(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a region that have a neighbour outside."""
    from scipy.ndimage import binary_erosion

    return np.asarray(~binary_erosion(inside))


# ---------------------------------------------------------------------------- large files
def large(given: argparse.Namespace) -> dict[str, Any]:
    """Time and memory of the command, from a file to all outputs and figures."""
    from ase_crystalnet.cli.app import app

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tip.pos"
        plan = TipPlan("Ni3Al", atoms=given.atoms, precipitate_radius=30.0)
        ions = write_tip(path, plan, given.seed)
        before = peak_memory()
        start, processor = time.perf_counter(), time.process_time()
        app(
            [
                "apt", str(path), "-r", str(path.with_suffix(".rrng")), "--crystal", "fcc:3.555",
                "--order", "L1_2", "-o", str(path.with_suffix(".h5")), "-o",
                str(path.with_suffix(".vti")), "--figures", folder, "-q",
            ],
            standalone_mode=False,
        )  # fmt: skip
        result = {
            "where": where(),
            "ions": ions,
            "seconds": time.perf_counter() - start,
            "processor seconds": time.process_time() - processor,
            "peak memory, MB": peak_memory(),
            "peak memory before, MB": before,
        }
    show(str(result))
    write_json(given.json, result)
    return result
