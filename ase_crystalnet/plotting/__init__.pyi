from .slice import plot_slice as plot_slice
from .slice import plot_strain as plot_strain
from .style import new_figure as new_figure
from .trajectory import plot_fingerprint as plot_fingerprint
from .trajectory import plot_trajectory as plot_trajectory

__all__ = [
    "new_figure",
    "plot_fingerprint",
    "plot_slice",
    "plot_strain",
    "plot_trajectory",
]
