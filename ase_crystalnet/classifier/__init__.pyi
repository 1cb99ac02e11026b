from .card import CARD_VERSION as CARD_VERSION
from .card import Card as Card
from .card import ModelCard as ModelCard
from .card import file_hash as file_hash
from .card import find_model as find_model
from .card import list_models as list_models
from .card import models_folder as models_folder
from .classifier import Classifier as Classifier

__all__ = [
    "CARD_VERSION",
    "Card",
    "Classifier",
    "ModelCard",
    "file_hash",
    "find_model",
    "list_models",
    "models_folder",
]
