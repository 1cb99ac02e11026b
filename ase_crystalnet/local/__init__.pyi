from .analysis import LocalAnalysis as LocalAnalysis
from .images import ImageMaker as ImageMaker
from .images import WindowImages as WindowImages

__all__ = [
    "ImageMaker",
    "LocalAnalysis",
    "WindowImages",
]
