"""Entry point of the command `crystalnet`."""

from __future__ import annotations

from ase_crystalnet.cli.app import app

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
