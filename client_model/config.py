"""Settings of the text, the model and the training on a phone.

Bounds are written as `annotated_types` marks, so that one checker can state every violation in the
same words; nothing here reads flags or files.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from client_model.learning.cells.door import CELLS
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.public_start import PUBLIC_START, RANDOM_START
from client_model.text.formats.columns import Columns
from client_model.text.formats.door import AUTO, BUNDLED, FORMATS, SYNTHETIC
from typefleet.doors import FLAT, KindSettings, SettingsOf, chosen
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from client_model.learning.cells.base import Cell
    from client_model.learning.local_optimizers.base import LocalOptimizer


# Words, width of the embedding, units of the cell.
PRESETS = {"small": (5_000, 64, 256), "large": (5_000, 96, 512), "gboard": (10_000, 96, 670)}
# Cell, its settings and preset of the models that have public weights, by the name of the file.
PUBLIC_SHAPES: dict[str, tuple[str, dict[str, int], str]] = {
    "small": ("cifg", {}, "small"),
    "deep": ("stacked", {"layers": 2}, "small"),
    "large": ("cifg", {}, "large"),
}


Kernel = Literal["native", "tensorflow"]  # what trains phones: C, built at installation, or TensorFlow
WantedKernel = Literal["auto", "native", "tensorflow"]
WHICHEVER: WantedKernel = "auto"
NATIVE: Kernel = "native"
TENSORFLOW: Kernel = "tensorflow"
Device = Literal["cpu", "gpu"]  # where phones are trained
WantedDevice = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class DataConfig:
    """Where the phones' text comes from."""

    path: Path | None = None
    """File of messages, or a folder of such files. Without it, the chats of 1,315 people that an installed package
    brings."""
    format: Annotated[str, FORMATS.choice] = "auto"
    """Format of the file; auto goes by its ending, and is chitchat without a path. synthetic: no file, made-up text
    for fleets of any size."""
    format_settings: Annotated[KindSettings, SettingsOf("format", FORMATS), FLAT] = KindSettings()
    """Of the format itself."""
    user_column: str = Columns.user
    """Column, or key, that says whose message it is; of formats that name their columns."""
    text_column: str = Columns.text
    """Column with the messages."""
    time_column: str | None = None
    """Column that says when a message was written, a number or an ISO 8601 text: a phone's messages are put in its
    order. Without it they stay in the order of the file."""
    on_bad_line: Literal["error", "skip"] = "error"
    """What to do with a line that is not a message: stop, or skip it and report how many."""
    redact: Literal["off", "mask", "drop"] = "off"
    """Personal data in messages, taken out on the phone before anything is tokenised; scripts/audit_data.py says what
    is found. mask: one word outside of every vocabulary stands in its place. drop: the message is left out."""
    phone_regions: tuple[str, ...] = ("US", "GB")
    """With --data.redact: countries (two letters) whose telephone numbers are known without a country's prefix."""
    purpose: str = "next-word"
    """What the text is used for, one word. A text with a mark beside it (`messages.jsonl.purpose`, a line for each)
    is refused for any other purpose, and so is a start from a run of another."""
    keep_messages: Annotated[int | None, Ge(1)] = None
    """Newest messages that a phone that trains keeps; it has no others to learn from; by default all."""
    keep_tokens: Annotated[int | None, Ge(1)] = None
    """Tokens of its newest messages that a phone that trains keeps, at most, but for one message; by default all."""
    keep_days: Annotated[float | None, Gt(0)] = None
    """Age at which a phone that trains deletes a message, on the simulated calendar (--fleet.start-date) and by the
    messages' own dates; what was written after the simulated day is not there yet. By default it deletes none."""
    held_out_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the phones that never train; the model is measured on them."""
    vocabulary_path: Path | None = None
    """File with one token per line (a run's model/vocab.txt) instead of a vocabulary built from the
    training phones."""
    vocabulary_phones: Annotated[int, Ge(1)] = 5000
    """Training phones that are read for the vocabulary and the baselines, at most."""
    min_phones_a_word: Annotated[int, Ge(2)] = 3
    """A word enters a vocabulary that is counted on messages if at least this many phones wrote it; one never
    suffices."""
    cache_dir: Path | None = None
    """Folder for tokenised files; by default typefleet/ in the user's cache folder."""

    @property
    def is_synthetic(self) -> bool:
        """Whether the text is made up."""
        return self.format == SYNTHETIC

    @property
    def format_name(self) -> str:
        """The format, with the one that a run without a file has in the place of auto."""
        return BUNDLED if self.path is None and self.format == AUTO else self.format

    @property
    def columns(self) -> Columns:
        """The columns of the file."""
        return Columns(self.user_column, self.text_column, self.time_column)

    @property
    def has_columns(self) -> bool:
        """Whether the format is one that names its columns.

        Raises:
            UnknownKindError, ConfigError: the settings name no format.
        """
        kind, settings = chosen(replace(self, format=self.format_name), "format")
        return hasattr(FORMATS.made(kind, settings), "with_columns")


@dataclass(frozen=True)
class ModelConfig:
    """The next-word model."""

    preset: Literal["small", "large", "gboard"] = "small"
    """Sizes. small: 5,000 words, embedding 64, 256 units, 0.6 MB on a phone. large: 5,000, 96, 512, 1.0 MB, better.
    gboard: 10,000, 96, 670, 1.7 MB, as published."""
    cell: Annotated[str, CELLS.choice] = "cifg"
    """cifg: the published cell, and the fastest. stacked: layers of cifg, better for few bytes. To compare with: gru,
    other gates; lstm, the plain cell; transformer, self-attention over the last tokens."""
    cell_settings: Annotated[KindSettings, SettingsOf("cell", CELLS), FLAT] = KindSettings()
    """Of the cell itself."""
    vocabulary_size: Annotated[int | None, Ge(16)] = None
    """Rows of the embedding table instead of the preset's."""
    embedding_size: Annotated[int | None, Ge(1)] = None
    """Width of the embedding instead of the preset's."""
    units: Annotated[int | None, Ge(1)] = None
    """Units of the cell instead of the preset's."""
    sequence_length: Annotated[int, Ge(2), Le(200)] = 20
    """Longest sequence, in tokens; longer messages are cut into several."""
    init: Path | None = None
    """Start from `public`, the weights of public English that ship with the project; from a run's folder; from weights
    (.npz, vocab.txt beside it); or after central training on a file of public messages. The vocabulary then comes from
    there too. `none`: random weights. By default public for the chats that are there without --data.path, if there are
    public weights of the model's shape, and none otherwise."""
    init_is_public: bool = False
    """The weights that --model.init names were trained on public text alone: your word for it, which the privacy
    statement repeats. Without it, weights of no record are of unknown cost."""
    init_epochs: Annotated[int, Ge(1)] = 3
    """Central training: passes over the corpus."""
    init_learning_rate: Annotated[float, Gt(0)] = 2.0
    """Central training: step size at the start; it falls to 0."""

    def make_cell(self) -> "Cell":
        """The cell that is named.

        Raises:
            UnknownKindError, ConfigError: nothing has that name, or the settings are another's.
        """
        kind, settings = chosen(self, "cell")
        cell: Cell = CELLS.made(kind, settings)
        return cell


def default_start(data: DataConfig, model: ModelConfig) -> Path:
    """Where weights start if nobody says: at the public ones for the people who are there without a file, if they fit.

    Whether a file of messages is English is not ours to guess, and synthetic text has a vocabulary of its own.

    Args:
        data: where the text comes from.
        model: what is trained.

    Raises:
        UnknownKindError, ConfigError: the settings name no cell.
    """
    return PUBLIC_START if starts_publicly(data) and public_shape(model) is not None else RANDOM_START


def starts_publicly(data: DataConfig) -> bool:
    """Whether weights start at public ones if there are any of the model's shape and nobody says otherwise."""
    return data.path is None and data.format_name == BUNDLED and data.vocabulary_path is None


def public_shape(model: ModelConfig) -> str | None:
    """Name of the public weights that fit a model; None: there are none.

    Raises:
        UnknownKindError, ConfigError: the settings name no cell.
    """
    kind, settings = chosen(model, "cell")
    words, d, u = PRESETS[model.preset]
    sizes = (words, model.embedding_size or d, model.units or u)
    for name, (cell, of_cell, preset) in PUBLIC_SHAPES.items():
        fits = (kind.name, asdict(settings), sizes) == (cell, of_cell, PRESETS[preset])
        if fits and model.vocabulary_size is None:
            return name
    return None


def check_model(model: ModelConfig) -> None:
    """Refuse distances that no sequence has: they would never be trained, and phones would use them.

    Raises:
        ConfigError: a transformer's window is longer than the sequences.
    """
    window, longest = getattr(chosen(model, "cell")[1], "window", None), model.sequence_length
    if model.cell == "transformer" and window is not None and window > longest:
        raise ConfigError(expected("--model.window", f"a number <= --model.sequence-length = {longest}", window))


@dataclass(frozen=True)
class TrainingConfig:
    """Training on one phone in one round."""

    learning_rate: Annotated[float, Gt(0)] = 1.0
    """Step size on the phone. From random weights larger ones, up to 4, are faster."""
    max_gradient_norm: Annotated[float, Ge(0)] = 0.5
    """Scale down a step's gradient whose L2 norm is larger, which keeps large learning rates stable; 0
    for no bound. This is not the privacy bound, which is on the whole update."""
    batch_size: Annotated[int, Ge(1)] = 8
    """Sequences a step."""
    epochs: Annotated[int, Ge(1)] = 1
    """Passes over the phone's text in one round."""
    max_sequences: Annotated[int, Ge(1)] = 400
    """Sequences of a phone that are used in one round, at most."""
    max_tokens: Annotated[int, Ge(1)] = 8000
    """Tokens of a phone that are used in one round, at most."""
    optimizer: Annotated[str, LOCAL_OPTIMIZERS.choice] = "sgd"
    """What a phone's steps are. sgd: along the gradient; the only one that the native kernel has. proximal: FedProx,
    held to the received weights. momentum: along a decaying sum of gradients."""
    optimizer_settings: Annotated[KindSettings, SettingsOf("optimizer", LOCAL_OPTIMIZERS), FLAT] = KindSettings()
    """Of the local optimizer itself."""

    def make_optimizer(self, handed_in: "LocalOptimizer | None" = None) -> "LocalOptimizer":
        """The local optimizer that is handed in, or the one that is named.

        Raises:
            UnknownKindError, ConfigError: nothing has that name, or the settings are another's.
        """
        if handed_in is not None:
            return handed_in
        kind, settings = chosen(self, "optimizer")
        optimizer: LocalOptimizer = LOCAL_OPTIMIZERS.made(kind, settings)
        return optimizer


@dataclass(frozen=True)
class FineTuning:
    """How a phone goes on learning."""

    learning_rate: Annotated[float, Gt(0)] = 1.0
    """Step size of SGD on the phone."""
    epochs: Annotated[int, Ge(1)] = 1
    """Passes over the phone's older messages."""


@dataclass(frozen=True)
class CentralTraining:
    """How a model is trained in one place."""

    epochs: Annotated[int, Ge(1)] = 2
    """Passes over the text."""
    learning_rate: Annotated[float, Gt(0)] = 1.0
    """Step size at the start; it falls to 0."""
