from .back_projection import BackProjection as BackProjection
from .bragg_spots import BraggSpots as BraggSpots
from .bragg_spots import energy_share as energy_share
from .bragg_spots import shuffled_share as shuffled_share
from .explainer import Explainer as Explainer
from .figures import plot_explanation as plot_explanation
from .figures import plot_filter_sums as plot_filter_sums
from .study import Sample as Sample
from .study import bootstrap_mean as bootstrap_mean
from .study import local_sample as local_sample
from .study import occlusion_correlations as occlusion_correlations
from .study import sample_of as sample_of
from .study import share_rows as share_rows
from .subjects import Subject as Subject
from .subjects import subject as subject

__all__ = [
    "BackProjection",
    "BraggSpots",
    "Explainer",
    "Sample",
    "Subject",
    "bootstrap_mean",
    "energy_share",
    "local_sample",
    "occlusion_correlations",
    "plot_explanation",
    "plot_filter_sums",
    "sample_of",
    "share_rows",
    "shuffled_share",
    "subject",
]
