"""Help in pages: short first, a group at a time, all of it; each at any width, in words."""

import os
import re
import sys
from importlib import import_module
from itertools import pairwise
from typing import Literal, get_origin, get_type_hints

import pytest
import tyro

from simulation.commands import (
    audit,
    compare_mechanisms,
    compare_runs,
    fit_fleet,
    fleet_dry_run,
    report,
    retain,
    shred,
    simulate,
)
from simulation.config import RunConfig
from simulation.flags import parse_simulate
from simulation.settings import choose, flag_name, leaves
from simulation.subcommands import SUBCOMMANDS
from typefleet.errors import ConfigError

COMMANDS = {"simulate": simulate, "dry run": fleet_dry_run, "fit": fit_fleet, "mechanisms": compare_mechanisms}
SETTINGS = [flag_name(path) for path in leaves(choose(RunConfig(), {}))]
SECTIONS = {flag.removeprefix("--").split(".")[0] for flag in SETTINGS if "." in flag}


@pytest.fixture
def page(monkeypatch, capsys):
    """page(command, "--help", columns=80): what it prints."""

    def printed(command, *arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["typefleet it"])
        with pytest.raises(SystemExit) as stop:
            command.main([*arguments])
        assert not stop.value.code
        return capsys.readouterr().out

    return printed


def listed(text):
    """The flags at the beginning of a line, in order."""
    return [name for line in re.findall(r"^  (--.+?)(?:  |$)", text, re.MULTILINE) for name in line.split(", ")]


def test_the_first_page_has_a_dozen_settings_and_every_group_in_a_line(page):
    text = page(simulate, "--help", columns=110)
    flags = listed(text)
    assert 10 <= len(flags) <= 15 and {"--rounds", "--config", "--cohort.goal"} <= set(flags)
    groups = text.split("groups of settings:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in groups] == list(dict.fromkeys(line.split()[0] for line in groups))
    assert {line.split()[0] for line in groups} == SECTIONS and all(len(line.split()) > 3 for line in groups)
    assert "--help data" in text and "--help-all shows all" in text
    assert len(text.splitlines()) < len(page(simulate, "--help-all", columns=110).splitlines()) / 3


def test_every_setting_is_on_the_page_of_its_group_and_on_the_page_of_all(page):
    for section in SECTIONS:
        wanted = {flag for flag in SETTINGS if flag.startswith(f"--{section}.")}
        assert {f for f in listed(page(simulate, "--help", section)) if ".no-" not in f} == wanted
    everything = listed(page(simulate, "--help-all"))
    assert set(everything) >= {*SETTINGS, "--config", "--resume", "--print-config", "--engine.no-export"}
    assert len(everything) == len(set(everything))


def test_a_group_s_page_has_the_settings_of_the_kind_that_is_chosen(page):
    assert "--model.cell" in listed(page(simulate, "--help=model"))
    deep = listed(page(simulate, "--model.cell", "stacked", "--help", "model"))
    assert "--model.layers" in deep and "--model.layers" not in listed(page(simulate, "--help", "model"))


def indent_of(line):
    return line[: len(line) - len(line.lstrip())]


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_the_terminal_or_ragged(page, name, columns):
    for asked in (["--help"], ["--help-all"]):
        lines = page(COMMANDS[name], *asked, columns=columns).splitlines()
        for line in lines:
            assert line == line.rstrip()
            assert len(line) <= min(columns, 110) or len(line.split()) <= 3, line  # a name of its own length
        for line, following in pairwise(lines):
            if len(indent_of(line)) == len(indent_of(following)) >= 6:  # one text: a line is as long as words allow
                assert len(line) + 1 + len(following.split()[0]) > min(columns, 110), (line, following)


def test_types_and_defaults_are_words(page):
    text = " ".join(page(simulate, "--help-all").split())
    assert not re.search(r"\{|\[|None|INT\b|FLOAT|PATH\b|│", text.replace("[-h] [OPTIONS]", "").replace("RUN_DIR", ""))
    for said in (
        "config.toml. (a path; default: none)",
        "(a whole number; default: 100)",
        "(one of small, large, gboard; default: small)",
        "(numbers; default: -8.0 -5.0 0.0 1.0 5.5 8.0)",
        "as TOML and stop. (default: off)",
    ):
        assert said in text, said


def test_positional_arguments_and_short_flags_are_there(page):
    text = page(fit_fleet, "--help")
    assert text.startswith("usage: typefleet it [-h]") and text.splitlines()[0].endswith(" TRACE")
    assert "-o, --output" in text and "(required)" in text
    assert page(fit_fleet, "-h") == page(fit_fleet, "--help-all") == text


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_what_is_given_without_a_flag_is_called_by_what_it_is(command):
    """And not by its type, such as PATH."""
    flags = getattr(import_module(f"simulation.commands.{SUBCOMMANDS[command].module}"), "Flags", None)
    for name, hint in {} if flags is None else get_type_hints(flags, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        if tyro.conf.Positional in marks and get_origin(hint.__origin__) is not Literal:
            assert [mark.metavar for mark in marks if getattr(mark, "metavar", None)], name


@pytest.mark.parametrize(
    ("command", "name"), [(shred, "FOLDER..."), (retain, "RUN_DIR..."), (compare_runs, "RUN_DIR...")]
)
def test_an_argument_that_takes_several_has_a_name_and_no_empty_default(page, command, name):
    text = page(command, "--help")
    assert name in text.splitlines()[0] and "(default: )" not in text and "[[" not in text


def test_an_argument_that_may_be_left_out_is_said_in_words(page):
    text = page(audit, "--help")
    assert "[RUN_DIR]" in text and "None" not in text


def test_an_argument_that_was_given_is_still_on_the_page(page):
    for given in (["runs/one", "--help"], ["--help"]):
        assert "usage: typefleet it [-h] RUN_DIR" in (text := page(report, *given)) and "Folder of a run" in text


def test_an_unknown_group_is_one_line_that_says_what_may_have_been_meant():
    with pytest.raises(ConfigError, match=r"^--help: expected one of .*fleet.*; did you mean --help cohort\?$"):
        parse_simulate(["--help", "cohrt"])


def test_the_environment_is_as_before(page, monkeypatch):
    page(simulate, "--help", columns=77)
    assert os.environ["COLUMNS"] == "77"
    monkeypatch.delenv("COLUMNS")
    parse_simulate([])
    assert "COLUMNS" not in os.environ


def test_what_tyro_prints_for_shells_stays_as_it_is(page):
    assert page(fit_fleet, "--tyro-print-completion", "bash").startswith("# AUTOMATICALLY GENERATED by tyro")
