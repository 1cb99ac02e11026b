from .readers import measured_patterns as measured_patterns
from .readers import read_scan as read_scan
from .scan import Scan as Scan
from .scan import subtract_background as subtract_background

__all__ = [
    "Scan",
    "measured_patterns",
    "read_scan",
    "subtract_background",
]
