from .lines import Findings as Findings
from .lines import findings as findings
from .readers import measured_patterns as measured_patterns
from .readers import read_scan as read_scan
from .scan import Scan as Scan
from .scan import subtract_background as subtract_background

__all__ = [
    "Findings",
    "Scan",
    "findings",
    "measured_patterns",
    "read_scan",
    "subtract_background",
]
