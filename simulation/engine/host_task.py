"""What a host needs to train and evaluate phones, as one text that travels in every message."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from client_model.config import TENSORFLOW, DataConfig, Kernel, TrainingConfig
from client_model.learning.cells.base import Cell
from client_model.learning.cells.door import CELLS
from client_model.learning.language_model import ModelShape
from client_model.learning.local_optimizers.base import LocalOptimizer
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.learning.padded_batches import Group
from client_model.metrics.metric import Metric
from client_model.metrics.table import MetricTable, metric_table
from client_model.text.formats.door import FORMATS
from client_model.text.population import PopulationSpec
from simulation.engine.handed_in import HandedIn, from_texts, to_texts
from typefleet.doors import KindSettings, chosen
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import typed


@dataclass(frozen=True)
class HostTask:
    """The constant part of a run, as phones see it."""

    population: PopulationSpec
    vocabulary: str
    shape: ModelShape
    training: TrainingConfig
    evaluation_sequences: int
    seed: int
    metric_names: tuple[str, ...] = ()
    """Metrics to count beside the built-in ones, of those that every process finds by name."""
    cell_settings: KindSettings = KindSettings()
    """Of the shape's cell, which is made of its name and these, unless it is handed in."""
    kernel: Kernel = TENSORFLOW
    """What trains and scores, on every host."""
    text: DataConfig | None = None
    """How a node on another machine reads its own copy of the text; its path is a name. None: it cannot."""
    copy: str = ""
    """Name of a copy of the tokenised text in the caches of machines that do not see its folder (`text_copies`)."""
    group: Group | None = None
    """Phones that are trained at once, and where. None: one after another, on the processor."""
    handed_in: HandedIn = field(default_factory=dict)
    """Parts that a host cannot find by name: `cell`, `local_optimizer`, and `metrics` (a sequence of them)."""

    @property
    def on_processor(self) -> "HostTask":
        """The same with phones one after another on the processor, for a process that is no worker."""
        return replace(self, group=None)

    @cached_property
    def metrics(self) -> MetricTable:
        """What is counted on a held-out phone."""
        return metric_table(self.metric_names, cast(Sequence[Metric], self.handed_in.get("metrics", ())))

    @cached_property
    def local_optimizer(self) -> LocalOptimizer:
        """What a phone's steps are.

        Raises:
            ConfigError: the settings are another's.
        """
        return self.training.make_optimizer(cast(LocalOptimizer | None, self.handed_in.get("local_optimizer")))

    def to_json(self) -> str:
        """Inverse of `from_json`.

        Raises:
            ConfigError: a part that was handed in, or a setting of the cell or the optimizer, cannot be sent.
        """
        return json.dumps(
            {
                "population": asdict(self.population),
                "vocabulary": self.vocabulary,
                "cell": self.shape.cell.name,
                "cell_settings": _sendable(f"cell {self.shape.cell.name!r}", self.cell_settings),
                "sizes": self.shape.sizes,
                "training": self._training_to_json(),
                "evaluation_sequences": self.evaluation_sequences,
                "seed": self.seed,
                "metric_names": self.metric_names,
                "kernel": self.kernel,
                "text": None if self.text is None else _text_to_json(self.text),
                "copy": self.copy,
                "group": None if self.group is None else asdict(self.group),
                "handed_in": to_texts(self.handed_in),
            },
            sort_keys=True,
        )

    def _training_to_json(self) -> dict[str, Any]:
        kind, settings = f"local optimizer {self.training.optimizer!r}", self.training.optimizer_settings
        own = {} if "local_optimizer" in self.handed_in else _sendable(kind, settings)
        return {**asdict(replace(self.training, optimizer_settings=KindSettings())), "optimizer_settings": own}

    @staticmethod
    def from_json(text: str) -> "HostTask":
        """Inverse of `to_json`."""
        d = json.loads(text)
        handed_in = from_texts(d["handed_in"])
        settings = KindSettings()
        if "cell" in handed_in:
            cell = cast(Cell, handed_in["cell"])
        else:
            cell, settings = _cell_named(d["cell"], d["cell_settings"])
        return HostTask(
            population=PopulationSpec.from_json(d["population"]),
            vocabulary=d["vocabulary"],
            shape=ModelShape(cell, **d["sizes"]),
            training=_training_from_json(d["training"], named="local_optimizer" not in handed_in),
            evaluation_sequences=d["evaluation_sequences"],
            seed=d["seed"],
            metric_names=tuple(d["metric_names"]),
            cell_settings=settings,
            kernel=d["kernel"],
            text=None if d["text"] is None else _text_from_json(d["text"]),
            copy=d["copy"],
            group=None if d["group"] is None else Group(**d["group"]),
            handed_in=handed_in,
        )


def _sendable(kind: str, settings: KindSettings) -> dict[str, Any]:
    """The settings of a kind as JSON has them, from which a host makes the same ones again."""
    where, what = f"settings of {kind}", "values that workers can be sent: numbers, texts, paths and tuples"
    for f in fields(settings):
        value = getattr(settings, f.name)
        try:
            sent = json.loads(json.dumps(value, default=_path_text, allow_nan=False))
            arrived = getattr(typed(replace(settings, **{f.name: sent})), f.name)
        except (TypeError, ValueError) as error:
            raise ConfigError(expected(where, what, f"{f.name} of type {type(value).__name__}")) from error
        if type(arrived) is not type(value) or arrived != value:
            raise ConfigError(expected(where, what, f"{f.name} of type {type(value).__name__}"))
    given: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=_path_text))
    return given


def _path_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(expected("a setting", "a path", type(value).__name__))


def _cell_named(name: str, given: dict[str, Any]) -> tuple[Cell, KindSettings]:
    kind = CELLS.kind(name)
    settings = typed(kind.settings(**given))
    return CELLS.made(kind, settings), settings


def _training_from_json(d: dict[str, Any], *, named: bool) -> TrainingConfig:
    settings = KindSettings()
    if named:
        settings = typed(LOCAL_OPTIMIZERS.kind(d["optimizer"]).settings(**d["optimizer_settings"]))
    return TrainingConfig(**{**d, "optimizer_settings": settings})


_OF_THE_TEXT = ("user_column", "text_column", "time_column", "on_bad_line", "redact", "phone_regions", "purpose")


def _text_to_json(config: DataConfig) -> dict[str, Any]:
    settings = _sendable(f"format {config.format_name!r}", chosen(config, "format")[1])
    return {
        "format": config.format,
        "format_settings": settings,
        "path": None if config.path is None else config.path.name,
        **{name: getattr(config, name) for name in _OF_THE_TEXT},
    }


def _text_from_json(d: dict[str, Any]) -> DataConfig:
    settings = typed(FORMATS.kind(d["format"]).settings(**d["format_settings"]))
    path = None if d["path"] is None else Path(d["path"])
    return DataConfig(**{**d, "format_settings": settings, "path": path, "phone_regions": tuple(d["phone_regions"])})
