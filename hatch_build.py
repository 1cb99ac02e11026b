"""Compile the inner loops while the wheel is built, so that its first answer need not wait.

They are compiled for the processor of this machine; ``CRYSTALNET_BUILD_LEVELS=all`` compiles for
all levels of its kind, as for wheels that go to others, and ``none`` for none. Where that fails, as
on a processor of no level, the wheel holds the sources alone and each installation compiles for
itself at its first use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Seconds after which a build goes on without compiled code.
PATIENCE = 1800


class CompiledLoops(BuildHookInterface[Any]):
    """Adds ``ase_crystalnet/_compiled`` to a wheel, and the wheel's name says for what it is."""

    PLUGIN_NAME = "custom"
    _folder: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the installation is editable: there the loops are edited."""
        levels = os.environ.get("CRYSTALNET_BUILD_LEVELS", "host")
        if version == "editable" or levels == "none":
            return
        self._folder = tempfile.mkdtemp(prefix="crystalnet-compiled-")
        # In front of what is there: pip brings the requirements of a build by this variable.
        paths = [self.root, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = (sys.executable, "-m", "ase_crystalnet._compute.ahead", self._folder)
        try:
            subprocess.run(
                [*command, "--levels", levels],
                cwd=self.root,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(paths),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                check=True,
                timeout=PATIENCE,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            said = (error.stderr.strip().splitlines() or ["nothing was said"])[-1]
            return self._without(said)
        except (OSError, subprocess.TimeoutExpired) as error:
            return self._without(str(error))
        if not any(Path(self._folder).iterdir()):
            return self._without("there is no level of this processor")
        build_data["force_include"][self._folder] = "ase_crystalnet/_compiled"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _without(self, why: str) -> None:
        self.app.display_warning(
            f"the inner loops are not compiled into the wheel ({why}); they will be at first use"
        )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel holds now."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
