"""The model of a run: which cell it has, and what hosts need to make it.

A cell is named by the configuration, or handed in as an object. The configuration of a run with an object names it too,
so that config.toml says what was trained; a process that has no such cell then refuses the folder in one line, instead
of reading its weights as those of another.
"""

from client_model.config import DataConfig
from client_model.learning.cells.check import check_cell
from client_model.learning.cells.door import CELLS
from client_model.learning.language_model import ModelShape, model_shape
from client_model.learning.local_optimizers.check import check_local_optimizer
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.learning.local_optimizers.sgd import is_plain
from client_model.learning.trainers import chosen_kernel
from client_model.metrics.door import METRICS
from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.text.formats.door import FORMATS
from client_model.text.population import PopulationSpec
from client_model.text.vocabulary import FIRST_WORD, Vocabulary
from simulation.config import RunConfig
from simulation.engine.devices import group_of
from simulation.engine.host_task import HostTask
from simulation.parts import Parts
from typefleet.doors import KindSettings, chosen
from typefleet.errors import ConfigError, expected


def shape_of_run(config: RunConfig, parts: Parts, vocabulary_size: int) -> ModelShape:
    """The model with the true size of the vocabulary.

    Raises:
        ConfigError: a kind makes a cell of another name, or the words are fewer than are suggested at once.
    """
    if (words := vocabulary_size - FIRST_WORD) < SUGGESTIONS:
        more = f"{SUGGESTIONS} words or more (--privacy.vocabulary-epsilon, --data.vocabulary-path)"
        raise ConfigError(expected("the vocabulary", more, words))
    shape = model_shape(config.model, vocabulary_size, parts.cell)
    if shape.cell.name != config.model.cell:
        raise ConfigError(f"--model.cell: expected a cell named {config.model.cell!r}, found {shape.cell.name!r}")
    return shape


def check_model(config: RunConfig, parts: Parts, shape: ModelShape) -> None:
    """Try a cell and a local optimizer that are not ours; needs TensorFlow.

    Raises:
        ConfigError: one does not do what it has to, or the cell cannot be exported though the run will be.
    """
    if parts.local_optimizer is not None or config.training.optimizer not in LOCAL_OPTIMIZERS.built_in:
        check_local_optimizer(config.training.make_optimizer(parts.local_optimizer))
    if config.model.cell in CELLS.built_in:
        return
    check_cell(shape.cell, shape.cell_sizes)
    if config.engine.export:
        from client_model.tflite.export_tflite import check_exportable  # TensorFlow takes seconds to import

        check_exportable(shape.cell)


def host_task(
    config: RunConfig, parts: Parts, shape: ModelShape, population: PopulationSpec, vocabulary: Vocabulary
) -> HostTask:
    """What hosts need to know of a run; parts that they cannot find by name travel as objects.

    Raises:
        ConfigError: a part was handed in, or registered in this process only, and cannot be sent to others.
    """
    by_name = CELLS.every_process_finds(config.model.cell)
    handed_in: dict[str, object] = {} if by_name else {"cell": shape.cell}
    found = [name for name in config.evaluation.metrics if METRICS.every_process_finds(name)]
    registered_here = [METRICS.kind(name) for name in config.evaluation.metrics if name not in found]
    if registered_here or parts.metrics:
        handed_in["metrics"] = (*(METRICS.made(kind, kind.settings()) for kind in registered_here), *parts.metrics)
    optimizer = config.training.make_optimizer(parts.local_optimizer)
    if parts.local_optimizer is not None or not LOCAL_OPTIMIZERS.every_process_finds(config.training.optimizer):
        handed_in["local_optimizer"] = optimizer
    task = HostTask(
        population=population,
        vocabulary=vocabulary.to_text(),
        shape=shape,
        training=config.training,
        evaluation_sequences=config.evaluation.max_sequences,
        seed=config.seed,
        metric_names=tuple(found),
        cell_settings=chosen(config.model, "cell")[1] if by_name else KindSettings(),
        kernel=chosen_kernel(config.engine.kernel, shape, optimizer),
        text=text_elsewhere(config, parts),
        group=group_of(config.engine, shape, config.training, config.cohort.goal) if is_plain(optimizer) else None,
        handed_in=handed_in,
    )
    task.to_json()
    return task


def text_elsewhere(config: RunConfig, parts: Parts) -> DataConfig | None:
    """How nodes read their copies of the text: in a format that every machine has."""
    ours = parts.message_format is None and config.data.format_name in FORMATS.built_in
    return config.data if ours and not config.data.is_synthetic else None
