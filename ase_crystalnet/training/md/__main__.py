"""``python -m ase_crystalnet.training.md``: molecular dynamics for training and tests."""

from __future__ import annotations

import sys

from ase_crystalnet.training.md.run import main

if __name__ == "__main__":
    sys.exit(main())
