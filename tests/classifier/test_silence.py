"""What TensorFlow and CUDA say of the machine never reaches the user, however it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ase_crystalnet._compute.silence import without_stderr
from tests.support import REPOSITORY
from tests.support.tiny_models import write_card, write_network

pytest.importorskip("tensorflow")


def said(code: str, **environment: str) -> str:
    """What a program writes to stderr."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_is_written_past_python_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="raised"), without_stderr():
        os.write(2, b"by C++\n")
        raise ValueError("raised")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_network_answers_without_a_word(tmp_path: Path) -> None:
    write_network(tmp_path / "model.keras")
    write_card(tmp_path)
    code = (
        "import numpy as np\n"
        "from ase_crystalnet.classifier import Classifier\n"
        f"Classifier({str(tmp_path)!r}).predict(np.zeros((3, 64, 64, 3), np.float32))\n"
    )
    assert said(code) == ""


@pytest.mark.slow
def test_tensorflow_is_silent_and_can_be_made_to_talk() -> None:
    code = (
        "from ase_crystalnet.classifier.network import import_keras\n"
        "import_keras()\n"
        "import tensorflow as tf\n"
        "print(tf.zeros(3) + 1)\n"
    )
    assert said(code) == ""
    # Else the test could be blind: on this machine it has something to say.
    if not said("import tensorflow as tf; tf.zeros(1)"):
        pytest.skip("TensorFlow has nothing to say on this machine")
    assert said(code, TF_CPP_MIN_LOG_LEVEL="0") != ""
