from .card import CARD_VERSION as CARD_VERSION
from .card import ModelCard as ModelCard
from .card import file_hash as file_hash
from .card import list_models as list_models
from .card import models_folder as models_folder
from .classifier import Classifier as Classifier

__all__ = [
    "CARD_VERSION",
    "Classifier",
    "ModelCard",
    "file_hash",
    "list_models",
    "models_folder",
]
