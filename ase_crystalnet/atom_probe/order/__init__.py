"""Chemical order of a known lattice: superlattice reflections of species, and their significance.

`OrderFinder` asks every window, `map_order` draws where an ordered phase is, and
`spatial_distribution` gives the pair correlations of species. Derivation:
docs/atom_probe_method.md.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
