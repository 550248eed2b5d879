"""Which runs belong together, what a group is called, and in which settings groups differ."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from simulation.studies.comparing.reading import SEED, ComparedRun
from typefleet.errors import ConfigError, expected

BY_RUN = "run"  # instead of settings: every run is a group
AFTER_THE_ROUNDS = "evaluation.central"  # what it asks for begins when a run's figures are there, and changes none
_ENGINE = ("engine.", "output_dir", "data.cache_dir")


@dataclass(frozen=True)
class RunGroup:
    """Runs whose figures are put together.

    Attributes:
        label: in tables and figures, another one for each group.
        runs: by seed, then by folder.
    """

    label: str
    runs: tuple[ComparedRun, ...]

    @cached_property
    def by_seed(self) -> dict[int, list[ComparedRun]]:
        """Its runs, by seed; several of one seed where they differ in settings."""
        found: dict[int, list[ComparedRun]] = {}
        for run in self.runs:
            found.setdefault(run.seed, []).append(run)
        return found

    def values_of(self, setting: str) -> list[Any]:
        """What its runs have for a setting, each value once, in their order; None where it does not apply."""
        return list(dict.fromkeys(run.settings.get(setting) for run in self.runs))


@dataclass(frozen=True)
class SettingThatDiffers:
    """A row of settings: what each group has."""

    name: str  # dotted
    texts: tuple[str, ...]  # one per group


def group_runs(runs: Sequence[ComparedRun], by: Sequence[str] = ()) -> list[RunGroup]:
    """Put runs into groups, in the order in which the first of each comes.

    Args:
        runs: each of another folder.
        by: settings by dotted name: runs with the same values are one group. By default all but the seed, and
            whether the same is trained in one place afterwards. `run`: every run by itself.

    Raises:
        ConfigError: a name is no setting that changes results, or a group has the same run twice.
    """
    names = [name.strip().replace("-", "_") for name in by]
    if names == [BY_RUN]:
        return [RunGroup(run.folder.name if _unique_names(runs) else str(run.folder), (run,)) for run in runs]
    known = list(dict.fromkeys(name for run in runs for name in run.settings))
    for name in names:
        _require_setting(name, known)
    keys = names or [name for name in known if name not in (SEED, AFTER_THE_ROUNDS)]
    members: dict[tuple[Any, ...], list[ComparedRun]] = {}
    for run in runs:
        members.setdefault(tuple(run.settings.get(name) for name in keys), []).append(run)
    groups = [sorted(group, key=lambda run: (run.seed, str(run.folder))) for group in members.values()]
    for group in groups:
        _require_different(group)
    labels = _labels(keys, list(members), everything=bool(names)) if names or len(members) > 1 else ["all runs"]
    return [RunGroup(label, tuple(group)) for label, group in zip(labels, groups, strict=True)]


def _unique_names(runs: Sequence[ComparedRun]) -> bool:
    return len({run.folder.name for run in runs}) == len(runs)


def _require_setting(name: str, known: Sequence[str]) -> None:
    if name.startswith(_ENGINE):
        raise ConfigError(expected("--by", "a setting that may change results", f"{name}, which never does"))
    if name not in known:
        close = [other for other in known if other.rpartition(".")[2] == name.rpartition(".")[2]]
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(expected("--by", "settings of these runs, such as privacy.mechanism", f"{name}{hint}"))


def _require_different(group: Sequence[ComparedRun]) -> None:
    """Two runs of the same settings and seed say one thing twice: no interval may count them as two."""
    for number, run in enumerate(group):
        for other in group[:number]:
            if not _differing(run, other) - {AFTER_THE_ROUNDS}:
                kernels = [", then ".join(of_one) or "None" for of_one in _kernels([other, run])]
                buts = sorted(_differing(run, other))
                if kernels[0] != kernels[1]:
                    buts.append(f"the kernel ({' and '.join(kernels)})")
                but = f" but for {' and '.join(buts)}" if buts else ""
                found = f"{other.folder} and {run.folder} with the same{but}; give one, or --by {BY_RUN}"
                raise ConfigError(expected("RUN", "runs that differ in a setting or the seed", found))


def _differing(run: ComparedRun, other: ComparedRun) -> set[str]:
    """The settings in which two runs differ."""
    names = run.settings.keys() | other.settings.keys()
    return {name for name in names if run.settings.get(name) != other.settings.get(name)}


def _labels(names: Sequence[str], keys: Sequence[tuple[Any, ...]], everything: bool) -> list[str]:
    """The values of as few settings as tell the groups apart; or of every one, as where they were asked for."""
    chosen: list[int] = list(range(len(names))) if everything else []
    while True:
        told_apart = len({tuple(key[i] for i in chosen) for key in keys})
        if told_apart == len(keys) and chosen:
            break
        gains = [len({tuple(key[j] for j in [*chosen, i]) for key in keys}) for i in range(len(names))]
        best = max(range(len(names)), key=lambda i: (gains[i], -i))
        if gains[best] == told_apart and chosen:
            break
        chosen.append(best)
    chosen.sort()
    return [", ".join(filter(None, (_named(names[i], key[i]) for i in chosen))) or "none of them" for key in keys]


def _named(name: str, value: Any) -> str:
    """A word speaks for itself; a number needs its name."""
    if value is None:
        return ""
    leaf = name.rpartition(".")[2].replace("_", " ")
    return value if isinstance(value, str) and leaf != "path" else f"{leaf} {setting_text(value)}"


def setting_text(value: Any) -> str:
    """A value as in a configuration; a dash for a setting that does not apply."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(map(setting_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_that_differ(groups: Sequence[RunGroup]) -> list[SettingThatDiffers]:
    """Every setting but the seed in which any two of the runs differ, in the order of the configuration."""
    runs = [run for group in groups for run in group.runs]
    rows = []
    for name in _all_names(runs):
        if name != SEED and _differs(run.settings.get(name) for run in runs):
            texts = (", ".join(map(setting_text, group.values_of(name))) for group in groups)
            rows.append(SettingThatDiffers(name, tuple(texts)))
    return rows


def _all_names(runs: Iterable[ComparedRun]) -> list[str]:
    """Of all settings, those of a section together."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    sections = dict.fromkeys(name.rpartition(".")[0] for name in names)
    return [name for section in sections for name in names if name.rpartition(".")[0] == section]


def _differs(values: Iterable[Any]) -> bool:
    first, *others = values
    return any(value != first for value in others)


def warnings_of(groups: Sequence[RunGroup], by: Sequence[str]) -> list[str]:
    """What keeps a difference between groups from being that of the settings asked for."""
    found = []
    grouped_by = {name.strip().replace("-", "_") for name in by}
    rows = [row for row in settings_that_differ(groups) if row.name != AFTER_THE_ROUNDS]
    if grouped_by and grouped_by != {BY_RUN}:
        also = [r.name for r in rows if r.name not in grouped_by and _differs(set(g.values_of(r.name)) for g in groups)]
        if also:
            found.append(f"groups also differ in {', '.join(also)}")
    for group in groups:
        within = [row.name for row in rows if len(group.values_of(row.name)) > 1]
        if within:
            uneven = "" if _is_even(group, within) else ", and not all of its seeds have all of them"
            found.append(f"{group.label}: a mean over runs that differ in {', '.join(within)}{uneven}")
    if _differs(sorted(group.by_seed) for group in groups):
        seeds = "; ".join(f"{group.label}: {seeds_text(group)}" for group in groups)
        found.append(f"groups have other seeds, thus other people held out: {seeds}")
    found += _kernels_that_differ([run for group in groups for run in group.runs])
    unfinished = [str(run.folder) for group in groups for run in group.runs if not run.finished]
    if unfinished:
        found.append(f"unfinished, as of the last checkpoint: {', '.join(unfinished)}")
    return found


def _kernels_that_differ(runs: Sequence[ComparedRun]) -> list[str]:
    """That the last bits of their updates differ, within a run that was gone on with by another kernel as well."""
    trained_by: dict[str, list[str]] = {}
    for run, kernels in zip(runs, _kernels(runs), strict=True):
        if kernels:  # which earlier versions did not say
            trained_by.setdefault(", then ".join(kernels), []).append(str(run.folder))
    if len(trained_by) < 2 and not any(", then " in kernels for kernels in trained_by):
        return []
    told = "; ".join(f"{kernels}: {', '.join(folders)}" for kernels, folders in trained_by.items())
    return [f"trained by different kernels, whose last bits differ: {told}"]


def _kernels(runs: Sequence[ComparedRun]) -> list[list[str]]:
    """What trained each of the runs, one after another, with the number of its bits where runs have two of one kernel.

    A build that does not say its bits is taken for one that has those of the others.
    """
    trained = [_trained_by(run) for run in runs]
    named = {pair for pairs in trained for pair in pairs if pair[1] is not None}
    bits = Counter(kernel for kernel, _ in named)

    def in_words(kernel: str, own: str | None) -> str:
        return f"{kernel} with kernel_bits {own}" if bits[kernel] > 1 and own is not None else kernel

    return [[word for word, _ in groupby(in_words(*pair) for pair in pairs)] for pairs in trained]


def _trained_by(run: ComparedRun) -> list[tuple[str, str | None]]:
    """Kernel and bits of each round, or of the last one alone where rounds do not say; none in earlier versions."""
    rounds = [(line["kernel"], line.get("kernel_bits")) for line in run.rounds if line.get("kernel") is not None]
    last = run.summary.kernel
    return rounds or ([] if last is None else [(last, run.summary.kernel_bits)])


def _is_even(group: RunGroup, names: Sequence[str]) -> bool:
    """Whether every seed of a group has runs of the same settings, so that what a seed changes is not mixed in."""
    cells = [{tuple(run.settings.get(name) for name in names) for run in runs} for runs in group.by_seed.values()]
    return not _differs(cells)


def seeds_text(group: RunGroup) -> str:
    """The seeds of its runs: 0 1 2."""
    return " ".join(map(str, sorted(group.by_seed)))
