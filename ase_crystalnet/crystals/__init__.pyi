from .defects import displaced as displaced
from .defects import substituted as substituted
from .defects import with_vacancies as with_vacancies
from .defects import without_body_centers as without_body_centers
from .disordered import cut_gas as cut_gas
from .elements import elemental_structures as elemental_structures
from .polycrystals import polycrystal as polycrystal
from .pools import Pool as Pool
from .pools import load_frames as load_frames
from .pools import load_pools as load_pools
from .prototypes import PROTOTYPES as PROTOTYPES
from .sampling import Crystal as Crystal
from .sampling import Disorder as Disorder
from .sampling import prototype as prototype
from .sampling import sample_crystal as sample_crystal
from .structures import bcc as bcc
from .structures import bct139 as bct139
from .structures import bct141 as bct141
from .structures import diamond as diamond
from .structures import fcc as fcc
from .structures import hcp as hcp
from .structures import nearest_distance as nearest_distance
from .structures import random_cluster as random_cluster
from .structures import random_packing as random_packing
from .structures import rotated as rotated
from .structures import sc as sc
from .structures import supercell as supercell
from .structures import unit_cell as unit_cell

__all__ = [
    "PROTOTYPES",
    "Crystal",
    "Disorder",
    "Pool",
    "bcc",
    "bct139",
    "bct141",
    "cut_gas",
    "diamond",
    "displaced",
    "elemental_structures",
    "fcc",
    "hcp",
    "load_frames",
    "load_pools",
    "nearest_distance",
    "polycrystal",
    "prototype",
    "random_cluster",
    "random_packing",
    "rotated",
    "sample_crystal",
    "sc",
    "substituted",
    "supercell",
    "unit_cell",
    "with_vacancies",
    "without_body_centers",
]
