"""What the Markdown files say is there: links, files, commands, flags; and the files of the kit agree with them."""

import os
import re
import runpy
import shlex
import sys
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from simulation.config import RunConfig
from simulation.engine.config import EngineConfig
from simulation.flags import parse_simulate
from simulation.run.accepted_input import accept_input
from simulation.run.preparation import settle
from simulation.run.sustained import foreseen_rounds, require_phones_enough
from simulation.settings import choose, flag_name, leaves, selectors
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.waiting import PATIENCE_S

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WITH_FLAGS = [page for page in PAGES if page.name not in ("CONTRIBUTING.md", "CHANGELOG.md")]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation")
FOLDERS = (*PACKAGES, "scripts", "benchmarks", "docs_site", "tests")
OTHERS_FLAGS = {"--help", "--help-all"}  # every script has them


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def anchors_of(page: Path) -> set[str]:
    """What a heading is called in a link, as on the usual hosts of code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@each_page
def test_every_link_within_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors_of(found), target


@each_page
def test_a_link_that_names_a_page_leads_to_that_page(page):
    for named, target in re.findall(r"\[`?([\w/.-]+\.md)`?\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
        assert Path(named).name == Path(target).name, f"[{named}] leads to {target}"


@each_page
def test_every_file_of_ours_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"(?<![\w/.])(?:{'|'.join((*FOLDERS, 'configs'))})/[\w/.-]+", text)
    for name in named:
        assert (ROOT / name.rstrip(".")).exists(), name
    for name in re.findall(r"`([\w-]+\.(?:py|js))`", text):  # without its folder, where the page has just said it
        assert any(next((ROOT / folder).rglob(name), None) for folder in FOLDERS), name
    for module in re.findall(r"python -m ((?:benchmarks|simulation)[\w.]*)", text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@cache
def flags_of_settings() -> frozenset[str]:
    """The flags of a run, those of every kind behind every door among them."""
    found: set[str] = set()
    base = choose(RunConfig(), {})
    for selector in selectors(base):
        for kind in selector.door.names:
            settings = leaves(choose(base, {selector.path: kind}))
            found |= {flag_name(path) for path in settings}
            found |= {flag_name((*p[:-1], f"no_{p[-1]}")) for p, value in settings.items() if isinstance(value, bool)}
    return frozenset(found)


@cache
def flags_of_script(path: Path) -> frozenset[str]:
    """The flags that its help lists, and those of other kinds if it takes the settings of a run."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", [str(path), "--help-all"])
        patch.setenv("COLUMNS", "200")
        written: list[str] = []
        patch.setattr(sys.stdout, "write", written.append)
        runpy.run_path(str(path), run_name="__main__")
    assert not stop.value.code
    listed = frozenset(re.findall(r"--[a-z][\w.-]*", re.sub(r"\x1b\[[\d;]*m", "", "".join(written))))
    return listed | flags_of_settings() if "--cohort.goal" in listed else listed


def commands_of(page: Path) -> list[list[str]]:
    """Every shell command of a page that runs a script of ours, as a list of words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [command for line in lines for command in re.split(r"&&|;", line)]
    return [shlex.split(command, comments=True) for command in commands if "scripts/" in command]


@pytest.mark.parametrize("page", WITH_FLAGS, ids=name_of)
def test_every_command_has_the_flags_it_is_given(page):
    for words in commands_of(page):
        (script,) = (word for word in words if word.startswith("scripts/"))
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= flags_of_script(ROOT / script), words


@pytest.mark.parametrize("page", WITH_FLAGS, ids=name_of)
def test_every_flag_that_is_named_exists(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    known = OTHERS_FLAGS.union(*map(flags_of_script, SCRIPTS))
    for code in re.findall(r"`([^`]+)`", text):
        if code.startswith("--") or "scripts/" in code:
            assert set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", code)) <= known, code


def test_the_fleet_of_every_run_has_phones_enough_for_its_rounds():
    """Those that can be prepared here: without files of the reader's own, and on any machine."""
    seen, page_of = set(), {}
    for page in WITH_FLAGS:
        for words in commands_of(page):
            if "scripts/simulate.py" in words:
                page_of[tuple(words[words.index("scripts/simulate.py") + 1 :])] = page
    for argv, page in page_of.items():
        config = _on_any_machine(argv)
        if config is None or (config.fleet.size or 0) > 50_000:  # their text takes seconds; they have one round
            continue
        if (world := (config.rounds, config.seed, config.cohort, config.fleet, config.aggregation)) in seen:
            continue
        seen.add(world)
        accepted = accept_input(config)
        require_phones_enough(accepted)
        completed, abandoned, stops = foreseen_rounds(settle(accepted))
        assert not stops and completed > abandoned, f"{name_of(page)}: {shlex.join(argv)}"
    assert {cohort.goal for _, _, cohort, *_ in seen} >= {20, 40, 100}


def _on_any_machine(argv):
    """The settings of a documented run, on the processor; None where a file is not there."""
    named = [ROOT / word for word in argv if Path(word).suffix in (".jsonl", ".csv", ".npz", ".toml", ".key")]
    if "--resume" in argv or not all(path.exists() for path in named):
        return None
    config = parse_simulate([str(ROOT / word) if word.endswith(".toml") else word for word in argv]).run
    return replace(config, output_dir=None, engine=EngineConfig())


def test_flags_are_found_at_all():
    known = flags_of_script(ROOT / "scripts" / "simulate.py")
    assert {"--rounds", "--cohort.goal", "--engine.no-export", "--server-optimizer.adaptivity", "--resume"} <= known
    assert any(commands_of(page) for page in WITH_FLAGS)


def test_the_overview_names_every_script():
    overview = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in SCRIPTS if f"`{path.name}`" not in overview] == []


def test_each_target_of_make_is_a_command_of_the_documentation():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):\n\t(.+)$", makefile, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert [name for name, _ in targets] == phony.split()
    (_, listed), *commands = targets
    assert re.findall(r"\w+", listed)[2:] == [name for name, _ in commands]  # what help says, after "echo" and "make"
    for name, command in commands:
        assert command in text, name


@pytest.mark.slow
def test_the_lines_of_python_in_the_readme_run(tmp_path):
    (lines,) = re.findall(r"```python\n(from typefleet.+?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    size = "rounds=10, fleet=FleetConfig(size=3000)"
    assert size in lines
    lines = lines.replace(size, "rounds=2, fleet=FleetConfig(size=300)")  # a smoke version
    smaller = (
        "from functools import partial\nimport typefleet\nfrom typefleet import *\n"
        "from tests.simulation.engine_in_process import EngineInProcess\n"
        "typefleet.simulate = partial(typefleet.simulate, engine=EngineInProcess())\n"
        "model = ModelConfig(vocabulary_size=400, embedding_size=32, units=48, sequence_length=10)\n"
        "evaluation = EvaluationConfig(max_phones=10)\n"
        "typefleet.RunConfig = partial(RunConfig, model=model, evaluation=evaluation, cohort=CohortConfig(goal=8))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", smaller + lines]
    done = run_forked(command, cwd=tmp_path, env=environment, timeout=PATIENCE_S)
    assert done.returncode == 0 and "abandoned: " not in done.stdout, done.stderr
    assert [path.name for path in (tmp_path / "runs").glob("*/model/keyboard.tflite")]


def test_every_package_is_installed_and_typed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = [f.parent for package in PACKAGES for f in (ROOT / package).rglob("__init__.py")]
    assert sorted(settings["packages"]) == sorted(".".join(f.relative_to(ROOT).parts) for f in folders)
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()
        assert "py.typed" in settings["package-data"][package]
