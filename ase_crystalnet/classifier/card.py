"""Model folders and their cards.

The card holds the hash of the weights, the classes and the constants of the stages that feed the
network, so that none of them can part from the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ase_crystalnet.errors import ModelError

__all__ = ["CARD_VERSION", "ModelCard", "file_hash", "list_models", "models_folder", "read_card"]


CARD_VERSION = 1


_NEEDED = ("card_version", "name", "classes", "sha256", "input", "fingerprint", "window_atoms")


def _is_names(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return whole and len(value) > 1 and len(set(value)) == len(value)


def _is_range(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(number, int) for number in value)
    return whole and len(value) == 2 and 0 < value[0] <= value[1]


# Field of the card -> test of its value, and what it should be, in words.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a name"),
    "classes": (_is_names, "a list of two or more different names"),
    "sha256": (lambda value: isinstance(value, str), "a hash"),
    "input": (lambda value: value in ("linear", "sqrt"), "'linear' or 'sqrt'"),
    "fingerprint": (lambda value: isinstance(value, dict), "the constants of the fingerprint"),
    "window_atoms": (_is_range, "the smallest and the largest number of atoms"),
}


def models_folder() -> Path:
    """Folder of the shipped models: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("ase_crystalnet"))).resolve()
    packed = package / "_models"
    return packed if packed.is_dir() else package.parent / "models"


def list_models(folder: Path | None = None) -> list[ModelCard]:
    """Cards of the models in a folder (the shipped ones by default), sorted by name."""
    folder = models_folder() if folder is None else Path(folder)
    return [ModelCard.read(path.parent) for path in sorted(folder.glob("*/card.json"))]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class ModelCard:
    """What a model is, from what it was made, and how it scored.

    Attributes
    ----------
    folder : Path
    data : dict
        Content of ``card.json``.
    """

    folder: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read and check the card of a model folder.

        Raises
        ------
        ModelError
            The card is missing, is no JSON, is of another version, or a field is missing or of
            the wrong kind.
        """
        path = folder / "card.json"
        data = read_card(folder, _NEEDED)
        for key, (fits, wanted) in _KINDS.items():
            if not fits(data[key]):
                raise ModelError(
                    f"{path} is damaged: {key} is {data[key]!r}, expected {wanted}; install the "
                    "model again"
                )
        return cls(folder, data)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.data["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes, in the order of the probabilities."""
        return tuple(self.data["classes"])

    @property
    def window_atoms(self) -> tuple[int, int]:
        """Smallest and largest window the model was trained for."""
        low, high = self.data["window_atoms"]
        return int(low), int(high)


def read_card(folder: Path, needed: Iterable[str]) -> dict[str, Any]:
    """Content of the card of a model folder, of this program's version and with these fields.

    Raises
    ------
    ModelError
        The card is missing, is no JSON, is of another version, or a field is missing.
    """
    path = folder / "card.json"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no card.json: it is not a model folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}): install the model again") from None
    missing = [key for key in needed if not isinstance(data, dict) or key not in data]
    if missing:
        raise ModelError(f"{path} lacks {', '.join(missing)}: install the model again")
    # The version first: another version may mean something else by its fields.
    if data["card_version"] != CARD_VERSION:
        raise ModelError(
            f"{path} is of card version {data['card_version']}, this program reads "
            f"{CARD_VERSION}: use the version of ase-crystalnet the model came with"
        )
    return dict(data)


def _find(model: str | Path) -> Path:
    if isinstance(model, Path) or os.sep in model:
        return Path(model)
    folder = models_folder() / model
    if not (folder / "card.json").is_file():
        known = ", ".join(sorted(p.parent.name for p in models_folder().glob("*/card.json")))
        raise ModelError(
            f"model {model!r} is unknown: use one of {known or '(none installed)'}, or a folder "
            "that holds model.keras and card.json"
        )
    return folder
