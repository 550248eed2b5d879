"""The reference of settings as Markdown: those of a run, and the flags of each script."""

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from docs_site.settings import ROOT, Setting, settings_of
from docs_site.text import docstring_markdown, one_line, plain
from simulation.config import RunConfig
from simulation.flags import SimulateFlags

SETTINGS_PAGE, SCRIPTS_PAGE = "reference/settings.md", "reference/scripts.md"
SCRIPTS = ROOT / "scripts"
_FLAGS_ELSEWHERE = {"simulate": SimulateFlags}  # the others define their flags themselves


def settings_page() -> str:
    """Every setting of a run: a heading for each section, for each choice that brings settings, and for each flag."""
    blocks = [
        "# Settings of a run",
        "Each is a flag of `scripts/simulate.py`, of the scripts that take a run's settings, and a key of a TOML file: "
        "`--cohort.goal 20` is `goal = 20` under `[cohort]`. A file's value goes over the default, a flag's over the "
        "file's. What brings settings of its own has them only where it is chosen.",
        *_section(RunConfig, "run", only_own=True),
    ]
    for name, section in get_type_hints(RunConfig).items():
        if is_dataclass(section):
            blocks += _section(section, name, (name,))
    return _joined(blocks)


def _section(kind: Any, title: str, prefix: tuple[str, ...] = (), *, only_own: bool = False) -> Iterator[str]:
    found = list(settings_of(kind, prefix))
    if only_own:
        found = [setting for setting in found if "." not in setting.flag]
    yield f"## {title}"
    yield docstring_markdown(kind.__doc__)
    yield from _entries(found, level=3)


def _entries(settings: Iterable[Setting], level: int) -> Iterator[str]:
    """Those that are always there first, then those of each choice; what several kinds share stands once."""
    all_kinds: dict[Setting, list[str]] = {}
    for setting in settings:
        all_kinds.setdefault(replace(setting, kind=""), []).append(setting.kind)
    by_kinds: dict[tuple[str, ...], list[Setting]] = {}
    for setting, kinds in all_kinds.items():
        by_kinds.setdefault(tuple(kinds), []).append(setting)
    anchors: set[str] = set()
    for names, group in sorted(by_kinds.items(), key=lambda item: item[0] != ("",)):
        if names != ("",):
            yield "#" * level + f" With {_either(names)}"
        for setting in group:
            anchor = _anchor(setting, names, anchors)
            yield from _entry(setting, anchor, level + 1 if names != ("",) else level)


def _either(names: tuple[str, ...]) -> str:
    """`--cohort.policy synchronous` or `deadline`."""
    (selector,) = {name.split()[0] for name in names}
    first, *others = (name.split()[1] for name in names)
    return " or ".join([f"`{selector} {first}`", *(f"`{name}`" for name in others)])


def _anchor(setting: Setting, kinds: tuple[str, ...], taken: set[str]) -> str:
    """The flag's name; where several kinds have a flag of that name, the later ones add theirs."""
    anchor = setting.flag.split(",")[0].lstrip("-").lower()
    if anchor in taken:
        anchor += "".join("-" + kind.split()[1] for kind in kinds)
    taken.add(anchor)
    return anchor


def _entry(setting: Setting, anchor: str, level: int) -> Iterator[str]:
    shown = ", ".join(f"`{flag}`" for flag in setting.flag.split(", "))
    yield "#" * level + f" {shown} {{#{anchor}}}"
    default = "has to be given" if setting.default is None else f"default {setting.default}"
    bounds = f" `{setting.bounds}`" if setting.bounds else ""
    yield f"{setting.type}{bounds}; {default}\n{{ .facts }}"
    if setting.text:
        yield one_line(setting.text)
    if setting.choices:
        yield "\n".join(f"- `{name}`: {plain(description)}" for name, description in setting.choices)


def scripts_page() -> str:
    """The flags of each script, but for the settings of a run, which stand on their own page."""
    blocks = [
        "# Flags of the scripts",
        "What each script in `scripts/` takes. `--help-all` of a script says the same. Where it says "
        f"*settings of a run*, those of [the other page]({Path(SETTINGS_PAGE).name}) are flags as well.",
    ]
    for path in sorted(SCRIPTS.glob("*.py")):
        blocks += _script(path)
    return _joined(blocks)


def _script(path: Path) -> Iterator[str]:
    described = _command(path) or path
    documentation = ast.get_docstring(ast.parse(described.read_text(encoding="utf-8"))) or ""
    first, _, rest = documentation.partition("\n")
    what, _, command = first.partition(": python ")
    yield f"## {path.name} {{#{path.stem}}}"
    yield one_line(what) + ("" if what.endswith(".") else ".")
    if command:
        yield f"```sh\npython {command}\n```"
    if rest.strip():
        yield docstring_markdown(rest)
    if (flags := flags_of(path)) is None:
        return
    if run := _run_settings(flags):
        yield f"Takes the [settings of a run]({Path(SETTINGS_PAGE).name}), and:"
    of_run = {setting.flag for setting in settings_of(RunConfig)} if run else set()
    own = (setting for setting in settings_of(flags) if setting.flag not in of_run)
    for setting in _entries(own, level=3):
        yield setting.replace("{#", f"{{#{path.stem}.", 1) if setting.startswith("#") else setting


def _run_settings(flags: type) -> bool:
    return RunConfig in get_type_hints(flags).values()


def flags_of(path: Path) -> type | None:
    """The dataclass of a script's flags: that of its command, or one that it defines whose name ends in Flags."""
    if path.stem in _FLAGS_ELSEWHERE:
        return _FLAGS_ELSEWHERE[path.stem]
    module = importlib.import_module(f"simulation.commands.{path.stem}") if _command(path) else _loaded(path)
    found = (kind for name, kind in vars(module).items() if name.endswith("Flags") and isinstance(kind, type))
    return next(found, None)


def _command(path: Path) -> Path | None:
    """The module that a script only opens; None of a script that does its work itself."""
    module = ROOT / "simulation" / "commands" / path.name
    return module if module.exists() else None


def _loaded(path: Path) -> ModuleType:
    """A script as a module; nothing of it runs but its definitions."""
    name = f"typefleet_script_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be imported")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"
