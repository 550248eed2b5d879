"""What ships with the project so that phones need not begin from nothing: weights and vocabulary of public English."""

from collections.abc import Callable
from pathlib import Path

from typefleet.data_files import data_folder

PUBLIC_START = Path("public")  # their name as a setting
RANDOM_START = Path("none")  # and that of beginning from nothing
FOLDER = data_folder(__name__, __file__, "vocab.txt")


def starting_file(init: Path | None, shape: Callable[[], str | None]) -> Path | None:
    """The file or folder that `--model.init` names, for the shipped weights where they lie; None: random weights.

    Args:
        init: the setting.
        shape: gives the name of the model's shape among those that have public weights, and is asked for these only;
            None: it is none of them, which whoever reads the weights will say.
    """
    if init == PUBLIC_START:
        return FOLDER / f"{shape() or 'small'}.npz"
    return None if init == RANDOM_START else init


def path_setting(path: Path) -> str:
    """A path as settings keep it: good from any folder; what is a name stays one."""
    return str(path if path in (PUBLIC_START, RANDOM_START) else path.absolute())


def everyday_words() -> list[str]:
    """Words of people who write to each other, which public text hardly has; each once, written by us."""
    return list(dict.fromkeys((FOLDER / "everyday_words.txt").read_text(encoding="utf-8").split()))
