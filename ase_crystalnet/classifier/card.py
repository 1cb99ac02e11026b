"""Model folders and their cards.

The card holds the hash of the weights, the classes and the constants of the stages that feed the
network, so that none of them can part from the weights. Every card has what `Card` has; what else
a kind of model needs is in a class of its own (`ModelCard` here, `PowderCard` beside the network
that reads powder patterns).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.inputs import open_plain, read_plain, reason_of

__all__ = [
    "CARD_VERSION",
    "LARGEST_CARD",
    "Card",
    "Mode",
    "ModelCard",
    "Need",
    "file_hash",
    "find_model",
    "list_models",
    "models_folder",
]

CARD_VERSION = 1
#: Bytes of a card, with the history of a training in it.
LARGEST_CARD = 20_000_000

#: What a network of fingerprints looks at: a window about a place, or the whole structure.
Mode = Literal["local", "global"]

#: Test of the value of a field, and what the value should be, in words.
Need = tuple[Callable[[Any], bool], str]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_names(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return whole and len(value) > 1 and len(set(value)) == len(value)


def _is_range(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(number, int) for number in value)
    return whole and len(value) == 2 and 0 < value[0] <= value[1]


def _is_constants(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _shown(value: Any) -> str:
    """A value of a damaged card, as much of it as fits a line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


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
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Card:
    """What every model says of itself.

    Attributes
    ----------
    folder : Path
        The model folder.
    name : str
    sha256 : str
        Hash of the weights.
    input : str
        What is done to the data before the network sees them.
    data : mapping
        Whole content of ``card.json``: also what no computation depends on, such as the licence,
        the recipe of the training and the accuracy.
    """

    folder: Path
    name: str
    sha256: str
    input: str
    data: Mapping[str, Any]

    #: Fields that a card must have besides its version.
    needs: ClassVar[Mapping[str, Need]] = {
        "name": (_is_text, "a name"),
        "sha256": (_is_text, "a hash"),
        "input": (_is_text, "what the network is shown"),
    }

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check the card of a model folder.

        Raises
        ------
        ModelError
            The card is missing, is no JSON, is of another version, or a field is missing or of
            the wrong kind.
        """
        path = folder / "card.json"
        try:
            data = json.loads(read_plain(path, LARGEST_CARD, "a card").decode("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise ModelError(f"{folder} holds no card.json: it is not a model folder") from None
        except InputError as error:
            raise ModelError(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{path} is damaged ({reason_of(error)}): install the model again"
            ) from None
        return cls.of(folder, data)

    @classmethod
    def of(cls, folder: Path, data: Any) -> Self:
        """Card of a content; it is checked as that of a file is."""
        path = folder / "card.json"
        needed = ("card_version", *cls.needs)
        missing = [key for key in needed if not isinstance(data, dict) or key not in data]
        if missing:
            raise ModelError(f"{path} lacks {', '.join(missing)}: install the model again")
        # The version first: another version may mean something else by its fields.
        if data["card_version"] != CARD_VERSION:
            raise ModelError(
                f"{path} is of card version {_shown(data['card_version'])}, this program reads "
                f"{CARD_VERSION}: use the version of ase-crystalnet the model came with"
            )
        for key, (fits, expected) in cls.needs.items():
            if not fits(data[key]):
                raise ModelError(
                    f"{path} is damaged: {key} is {_shown(data[key])}, expected {expected}; "
                    "install the model again"
                )
        if not isinstance(data.get("onnx_sha256", ""), str):
            raise ModelError(
                f"{path} is damaged: onnx_sha256 is {_shown(data['onnx_sha256'])}, expected a "
                "hash; install the model again"
            )
        return cls(folder=folder, data=data, **cls._fields(path, data))

    @classmethod
    def _fields(cls, path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the typed fields, of a content whose needs are met."""
        return {key: data[key] for key in ("name", "sha256", "input")}

    @property
    def onnx_sha256(self) -> str | None:
        """Hash of ``model.onnx``, the same weights for onnxruntime; None where there are none."""
        return self.data.get("onnx_sha256")

    def weights(self) -> Path:
        """File of the weights that this card belongs to.

        Raises
        ------
        ModelError
            The file is missing, or its hash is not the card's.
        """
        return self._fitting("model.keras", self.sha256)

    def onnx(self) -> Path:
        """File of the same weights for onnxruntime.

        Raises
        ------
        ModelError
            The model has none, the file is missing, or its hash is not the card's.
        """
        if self.onnx_sha256 is None:
            raise ModelError(
                f"model {self.name!r} has no model.onnx: use engine='tensorflow', or make it with "
                f"`crystalnet train onnx {self.folder}`"
            )
        return self._fitting("model.onnx", self.onnx_sha256)

    def _fitting(self, name: str, sha256: str) -> Path:
        """A file of the model folder, if it has this hash."""
        path = self.folder / name
        if not path.exists():
            raise ModelError(f"{path} is missing: install the model again")
        try:
            found = file_hash(path)
        except (InputError, IsADirectoryError) as error:
            raise ModelError(str(error)) from None
        if found != sha256:
            raise ModelError(
                f"{path} does not fit its card (hash {found[:12]}, card says "
                f"{sha256[:12]}): install model {self.name!r} again"
            )
        return path


@dataclass(frozen=True)
class ModelCard(Card):
    """What a model of fingerprints is, from what it was made, and how it scored.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities.
    fingerprint : mapping
        Constants of the fingerprints it was trained on (see
        `ase_crystalnet.fingerprint.Fingerprint`).
    window_atoms : tuple of int
        Smallest and largest window it was trained for.
    mode : {'local', 'global'}
        Windows about places, or whole structures; 'local' where the card has none.
    """

    classes: tuple[str, ...]
    fingerprint: Mapping[str, Any]
    window_atoms: tuple[int, int]
    mode: Mode = "local"

    needs: ClassVar[Mapping[str, Need]] = {
        **Card.needs,
        "classes": (_is_names, "a list of two or more different names"),
        "input": (lambda value: value in ("linear", "sqrt"), "'linear' or 'sqrt'"),
        "fingerprint": (_is_constants, "the constants of the fingerprint"),
        "window_atoms": (_is_range, "the smallest and the largest number of atoms"),
    }

    def sets_table(self) -> dict[str, Any]:
        """What prediction sets need, by the name it has in the metadata of a frame; or nothing."""
        least = self.data.get("least_probabilities")
        return {} if least is None else {"least_probabilities": least}

    @classmethod
    def _fields(cls, path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
        mode = data.get("mode", "local")
        if mode not in ("local", "global"):
            raise ModelError(
                f"{path} is damaged: mode is {_shown(mode)}, expected 'local' or 'global'; install "
                "the model again"
            )
        low, high = data["window_atoms"]
        return {
            **super()._fields(path, data),
            "classes": tuple(data["classes"]),
            "fingerprint": dict(data["fingerprint"]),
            "window_atoms": (low, high),
            "mode": cast(Mode, mode),
        }


def find_model(model: str | Path, folder: Path | None = None, what: str = "model") -> Path:
    """Folder of a model, by the name of an installed one or by its path.

    Parameters
    ----------
    model : str or Path
    folder : Path, optional
        Where models of this kind are installed; those of fingerprints by default.
    what : str
        The kind, for the message.

    Raises
    ------
    ModelError
        No model of that name is installed.
    """
    if isinstance(model, Path) or os.sep in model or "/" in model:
        return Path(model)
    folder = models_folder() if folder is None else folder
    if not (folder / model / "card.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.glob("*/card.json")))
        raise ModelError(
            f"{what} {model!r} is unknown: use one of {known or '(none installed)'}, or a folder "
            "that holds model.keras and card.json"
        )
    return folder / model
