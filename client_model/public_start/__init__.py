"""What ships with the project so that phones need not begin from nothing: weights and vocabulary of public English."""

from pathlib import Path

PUBLIC_START = Path("public")  # its name as a setting
FOLDER = Path(__file__).parent


def starting_file(init: Path | None) -> Path | None:
    """What `--model.init` names, and for the name of the shipped weights where they lie."""
    return FOLDER / "weights.npz" if init == PUBLIC_START else init


def path_setting(path: Path) -> str:
    """A path as settings keep it: good from any folder; the name of the shipped weights stays a name."""
    return str(path if path == PUBLIC_START else path.absolute())


def everyday_words() -> list[str]:
    """Words of people who write to each other, which public text hardly has; each once, written by us."""
    return list(dict.fromkeys((FOLDER / "everyday_words.txt").read_text(encoding="utf-8").split()))
