"""Which kernel trains what, and what is said where it is not there."""

import pytest

from client_model.learning import trainers
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import ModelShape
from client_model.learning.local_training import LocalTrainer
from client_model.learning.native.available import is_built
from client_model.learning.trainers import NoKernelError, chosen_kernel, make_trainer
from typefleet.errors import ConfigError


class OwnCell(Cifg):
    """Somebody's, which may do anything."""


OF_NATIVE = (Cifg(), Stacked(layers=3), Gru(), Lstm())
OTHERS = (Transformer(), OwnCell())
SHAPE = ModelShape(Cifg(), 20, 4, 5, 3)


@pytest.fixture
def there(monkeypatch):
    """there(built, fast): as on a machine with or without the native kernel."""

    def there(built, fast):
        monkeypatch.setattr(trainers, "is_built", lambda: built)
        monkeypatch.setattr(trainers, "is_fast", lambda: fast)

    return there


@pytest.mark.parametrize(("built", "fast"), [(True, True), (True, False), (False, False)])
def test_auto_takes_the_native_kernel_where_it_is_fast_and_has_the_cell(there, built, fast):
    there(built, fast)
    assert {chosen_kernel("auto", cell) for cell in OF_NATIVE} == {"native" if fast else "tensorflow"}
    assert {chosen_kernel("auto", cell) for cell in OTHERS} == {"tensorflow"}
    assert {chosen_kernel("tensorflow", cell) for cell in (*OF_NATIVE, *OTHERS)} == {"tensorflow"}


def test_the_native_kernel_is_asked_for_by_name(there):
    there(True, False)
    assert {chosen_kernel("native", cell) for cell in OF_NATIVE} == {"native"}
    for cell in OTHERS:
        with pytest.raises(ConfigError, match=f"^--engine.kernel: expected tensorflow for the cell {cell.name}, found"):
            chosen_kernel("native", cell)
    there(False, False)
    what = "^--engine.kernel: expected tensorflow on a machine without the native kernel, which .*, found native$"
    with pytest.raises(ConfigError, match=what):
        chosen_kernel("native", Cifg())


def test_a_machine_without_the_kernel_of_a_run_says_what_to_do(there):
    there(False, False)
    with pytest.raises(NoKernelError, match=r"^this machine: expected the native kernel, .*--engine.kernel tensorflow"):
        make_trainer(SHAPE, kernel="native")
    assert isinstance(make_trainer(SHAPE), LocalTrainer)


@pytest.mark.skipif(not is_built(), reason="the native kernel is not built: no C compiler at installation")
def test_the_native_kernel_is_made_where_it_is_there():
    assert type(make_trainer(SHAPE, kernel="native")).__name__ == "NativeTrainer"
