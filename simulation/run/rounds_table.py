"""rounds.parquet: the lines of rounds.jsonl as one table of flat columns, for pandas and its like.

Every run has the same columns with the same types, in this order: those of `RoundRecord`, of `Funnel` and of the
metrics, then what a round policy or a profile adds. A value that a round does not have is null. Nested numbers have
dotted names (`profile.driver_s.plan`); what has no fixed shape, as rows of a metric, is a text of JSON.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import IO, TYPE_CHECKING, Any

from client_model.metrics.table import MetricTable
from server_strategy.funnel import Funnel
from simulation.files import write_atomically
from simulation.run.directory import RunDirectory
from simulation.run.records import RoundRecord

if TYPE_CHECKING:
    import pyarrow as pa

_PARTS = ("funnel", "held_out", "profile", "aggregation")  # of a record, which stand in a line beside its other keys


def write_rounds_table(directory: RunDirectory, metrics: MetricTable) -> None:
    """Replace rounds.parquet by what rounds.jsonl has, whole or not at all.

    Args:
        directory: of the run.
        metrics: that the run measures.

    Raises:
        ConfigError: a line of rounds.jsonl is damaged.
    """
    from pyarrow import parquet

    table = rounds_table(directory.read_rounds(), metrics)

    def write(file: IO[bytes]) -> None:
        parquet.write_table(table, file)

    write_atomically(directory.rounds_table, write, private=True)


def rounds_table(lines: Sequence[Mapping[str, Any]], metrics: MetricTable) -> "pa.Table":
    """The lines of rounds.jsonl as a table, a row for each round.

    Args:
        lines: as `RoundRecord.as_line` makes them.
        metrics: that the run measures; each has a column even if no round was evaluated.
    """
    import pyarrow as pa

    nested = ("profile", "aggregation")
    rows = [
        {**line} | {key: v for name in nested for key, v in dotted(line.get(name) or {}, f"{name}.").items()}
        for line in lines
    ]
    types = _fixed_types(metrics)
    for name in dict.fromkeys(name for row in rows for name in row if name not in _PARTS):
        types.setdefault(name, _found_type([row.get(name) for row in rows]))
    columns = {}
    for name, kind in types.items():
        as_json = kind is None
        values = [row.get(name) for row in rows]
        if as_json:
            values = [None if value is None else json.dumps(value) for value in values]
        columns[name] = pa.array(values, pa.string() if kind is None else kind)
    return pa.table(columns)


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings, by the names on the way.

    Example:
        >>> dotted({"driver_s": {"plan": 0.5}, "transport_s": 0.1})
        {'driver_s.plan': 0.5, 'transport_s': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _fixed_types(metrics: MetricTable) -> dict[str, Any]:
    """Arrow's type of each column that every run has; None: a text of JSON."""
    import pyarrow as pa

    number, text = pa.float64(), pa.string()
    by_hint: dict[Any, Any] = {
        int: pa.int64(),
        float: number,
        float | None: number,
        int | None: pa.int64(),
        str: text,
        str | None: text,
    }
    by_hint[list[str]] = pa.list_(text)
    own = {f.name: by_hint.get(f.type) for f in fields(RoundRecord) if f.name not in _PARTS}
    funnel = {f.name: by_hint.get(f.type) for f in fields(Funnel)}
    return own | funnel | {m.name: None if m.unit == "rows" else number for m in metrics.metrics}


def _found_type(values: Iterable[Any]) -> Any:
    """Arrow's type of a column that only some runs have, by its values; None: a text of JSON."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pa.float64()
    return {frozenset({bool}): pa.bool_(), frozenset({str}): pa.string()}.get(frozenset(kinds))
