"""Read the file of an earlier benchmark, to compare with it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.figures import FORM, UNITS, Figure
from benchmarks.findings import Figures
from simulation.files import read_json_object
from typefleet.errors import InputError, expected

_SHOWN_OF_MACHINE = {"processor", "cores", "cores_allowed", "caches", "libraries", "governor", "blas_of_numpy"}
_MARKUP = "[/"  # the end of a tag, of which the tables have their own
_WHAT = f"a file of scripts/benchmark.py of form {FORM}"


class BenchmarkFileError(InputError):
    """A file that is none of this benchmark's."""


@dataclass(frozen=True)
class Benchmarked:
    """What a file of a benchmark says.

    Attributes:
        sizes: how much work it was.
        machine: see `machine_facts`.
        load_at_start: processes that were running before it began.
        figures: by group and name, in the order of the table.
        kernels: that trained, by cell.
    """

    sizes: str
    machine: Mapping[str, Any]
    load_at_start: float
    figures: Mapping[tuple[str, str], Figure]
    kernels: Mapping[str, str] = field(default_factory=dict)


def read_benchmark(path: Path) -> Benchmarked:
    """Of a file.

    Raises:
        InputError: it is not there, or not of this form.
    """
    content = read_json_object(path, _WHAT)
    form = content.get("form")
    if form != FORM:
        found = "no form, as in older ones" if form is None else "another form"
        raise BenchmarkFileError(expected(path, _WHAT, found))
    sizes, machine, load, told = (content.get(name) for name in ("sizes", "machine", "load_at_start", "figures"))
    whole = isinstance(machine, dict) and _shows_itself(machine)
    if not (whole and isinstance(sizes, str) and _is_number(load) and isinstance(told, list)):
        raise BenchmarkFileError(expected(path, f"{_WHAT}, whole", "parts that are missing or of another kind"))
    figures, kernels = [_figure(path, number, one) for number, one in enumerate(told, 1)], dict[str, str]()
    # It lacks some, or is cut short.
    with suppress(KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError):
        measured = Figures(content)
        figures, kernels = measured.all(), measured.kernels()  # as this version has them, so that they can be compared
    names = [sizes, *kernels, *kernels.values(), *(name for one in figures for name in (one.group, one.name))]
    if any(_MARKUP in str(name) for name in (*names, machine)):
        raise BenchmarkFileError(expected(path, f"{_WHAT}, with names as it writes them", "a name with markup"))
    by_name = {(one.group, one.name): one for one in figures}
    return Benchmarked(sizes, content["machine"], float(content["load_at_start"]), by_name, kernels)


def _figure(path: Path, number: int, told: Any) -> Figure:
    """One of the figures of a file."""
    names = {field.name for field in fields(Figure)}
    if isinstance(told, dict) and names <= told.keys():
        one = {name: told[name] for name in names}
        texts = all(isinstance(one[name], str) for name in ("group", "name", "unit"))
        switches = all(isinstance(one[name], bool) for name in ("less_is_better", "is_loaded"))
        values, target = one["values"], one["target"]
        numbers = isinstance(values, list) and len(values) > 0 and all(map(_is_number, values))
        if texts and switches and numbers and one["unit"] in UNITS and (target is None or _is_number(target)):
            return Figure(**{**one, "values": tuple(map(float, values))})
    raise BenchmarkFileError(expected(f"{path}, figure {number}", "a figure of a benchmark", "something else"))


def _shows_itself(machine: Mapping[str, Any]) -> bool:
    """Whether it has what is shown of every machine."""
    tables = (machine.get(name) for name in ("caches", "libraries"))
    return machine.keys() >= _SHOWN_OF_MACHINE and all(isinstance(table, dict) for table in tables)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
