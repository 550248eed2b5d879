"""Which kernel trains what, and what is said where it is not there."""

from dataclasses import replace

import pytest

from client_model.learning import trainers
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import ModelShape
from client_model.learning.local_training import LocalTrainer
from client_model.learning.native.available import LARGEST, is_built
from client_model.learning.trainers import NoKernelError, chosen_kernel, make_trainer
from typefleet.errors import ConfigError

native = pytest.mark.skipif(not is_built(), reason="the native kernel is not built: no C compiler at installation")


class OwnCell(Cifg):
    """Somebody's, which may do anything."""


SHAPE = ModelShape(Cifg(), 20, 4, 5, 3)
OF_NATIVE = [replace(SHAPE, cell=cell) for cell in (Cifg(), Stacked(layers=3), Gru(), Lstm())]
OTHERS = [replace(SHAPE, cell=cell) for cell in (Transformer(), OwnCell())]
LARGEST_OF_NATIVE = replace(SHAPE, embedding_size=LARGEST, units=LARGEST)
TOO_LARGE = [replace(SHAPE, embedding_size=LARGEST + 1), replace(SHAPE, units=LARGEST + 1)]


@pytest.fixture
def there(monkeypatch):
    """there(built, fast): as on a machine with or without the native kernel."""

    def there(built, fast):
        monkeypatch.setattr(trainers, "is_built", lambda: built)
        monkeypatch.setattr(trainers, "is_fast", lambda: fast)

    return there


@pytest.mark.parametrize(("built", "fast"), [(True, True), (True, False), (False, False)])
def test_auto_takes_the_native_kernel_where_it_is_fast_and_has_the_model(there, built, fast):
    there(built, fast)
    found = {chosen_kernel("auto", shape) for shape in (*OF_NATIVE, LARGEST_OF_NATIVE)}
    assert found == {"native" if fast else "tensorflow"}
    assert {chosen_kernel("auto", shape) for shape in (*OTHERS, *TOO_LARGE)} == {"tensorflow"}
    assert {chosen_kernel("tensorflow", shape) for shape in (*OF_NATIVE, *OTHERS, *TOO_LARGE)} == {"tensorflow"}


def test_the_native_kernel_is_asked_for_by_name(there):
    there(True, False)
    assert {chosen_kernel("native", shape) for shape in OF_NATIVE} == {"native"}
    for shape in OTHERS:
        of_cell = f"^--engine.kernel: expected tensorflow for the cell {shape.cell.name}, found"
        with pytest.raises(ConfigError, match=of_cell):
            chosen_kernel("native", shape)
    for shape in TOO_LARGE:
        with pytest.raises(ConfigError, match=r"^--engine.kernel: .* or units, above 65,536, found native$"):
            chosen_kernel("native", shape)
    there(False, False)
    what = "^--engine.kernel: expected tensorflow on a machine without the native kernel, which .*, found native$"
    with pytest.raises(ConfigError, match=what):
        chosen_kernel("native", SHAPE)


def test_a_machine_without_the_kernel_of_a_run_says_what_to_do(there):
    there(False, False)
    with pytest.raises(NoKernelError, match=r"^this machine: expected the native kernel, .*--engine.kernel tensorflow"):
        make_trainer(SHAPE, kernel="native")
    assert isinstance(make_trainer(SHAPE), LocalTrainer)


@native
def test_the_largest_model_is_what_the_kernel_says():
    from client_model.learning.native.kernel import training_floats

    assert training_floats(("portable", 0, 1, 20, LARGEST, LARGEST), 1, 1) > 0
    for width, units in ((LARGEST + 1, 5), (4, LARGEST + 1)):
        with pytest.raises(ValueError, match="expected a cell of this kernel"):
            training_floats(("portable", 0, 1, 20, width, units), 1, 1)


@native
def test_the_native_kernel_is_made_where_it_is_there():
    assert type(make_trainer(SHAPE, kernel="native")).__name__ == "NativeTrainer"
