from .analysis import WholeAnalysis as WholeAnalysis
from .analysis import global_fingerprints as global_fingerprints
from .analysis import global_probabilities as global_probabilities
from .average_cell import AverageCell as AverageCell
from .average_lattice import NoLatticeError as NoLatticeError
from .cluster import cell_cluster as cell_cluster
from .cluster import perfect_supercell as perfect_supercell
from .cluster import scaled_clusters as scaled_clusters
from .cluster import standard_cluster as standard_cluster
from .cluster import standard_conventional_cell as standard_conventional_cell

__all__ = [
    "AverageCell",
    "NoLatticeError",
    "WholeAnalysis",
    "cell_cluster",
    "global_fingerprints",
    "global_probabilities",
    "perfect_supercell",
    "scaled_clusters",
    "standard_cluster",
    "standard_conventional_cell",
]
