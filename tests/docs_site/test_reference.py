"""The reference has every flag, script and public name, with the values that the code has."""

import re

import pytest

import typefleet
from docs_site.api_page import API_PAGE
from docs_site.settings import settings_of
from docs_site.settings_page import SCRIPTS_PAGE, SETTINGS_PAGE
from simulation.config import RunConfig
from simulation.settings import choose, flag_name, leaves, selectors
from tests.conftest import ROOT
from tests.test_documentation import SCRIPTS, flags_of_script, flags_of_settings
from typefleet import studies


def section_of(page: str, heading: str) -> str:
    return page.split(f"## {heading} ")[1].split("\n## ")[0]


def test_every_setting_of_a_run_has_a_heading(pages):
    headings = re.findall(r"^#{3,4} (.+) \{#", pages[SETTINGS_PAGE], re.MULTILINE)
    assert set(re.findall(r"`(--[\w.-]+)`", " ".join(headings))) == flags_of_settings()


def _as_written(value):
    return " ".join(map(str, value)) or "()" if isinstance(value, tuple) else str(value)


def test_defaults_are_those_of_the_dataclasses():
    base = choose(RunConfig(), {})
    trees = [choose(base, {one.path: name}) for one in selectors(base) for name in one.door.built_in]
    chosen = {one.path: one.door.names for one in selectors(base)}
    values = {(flag_name(path), _as_written(v)) for tree in [base, *trees] for path, v in leaves(tree).items()}
    for setting in settings_of(RunConfig):
        shown = (setting.default or "").strip("`")
        as_python = {"none": ("None", "()", "none"), "on": ("True",), "off": ("False", "off")}.get(shown, (shown,))
        given = {value for flag, value in values if flag == setting.flag.split(",")[0]}
        is_selector = setting.flag in {flag_name(path) for path in chosen}
        assert is_selector or given & set(as_python), setting


def test_a_bound_is_shown_and_a_text_said_for_each():
    for setting in settings_of(RunConfig):
        assert setting.text, setting.flag
    goal = next(setting for setting in settings_of(RunConfig) if setting.flag == "--cohort.goal")
    assert (goal.type, goal.bounds, goal.default) == ("whole number", ">= 1", "`20`")


def test_what_a_kind_brings_stands_under_the_kind(pages):
    (below,) = re.findall(r"^### With `--privacy.mechanism blt`\n(.+?)^#{2,3} ", pages[SETTINGS_PAGE], re.M | re.S)
    assert "#### `--privacy.buffers`" in below and "--privacy.tree-restart-rounds" not in below


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_flag_that_a_scripts_help_lists_is_in_its_section(path, pages):
    section = section_of(pages[SCRIPTS_PAGE], path.name)
    listed = {flag.rstrip(".") for flag in flags_of_script(path)}  # one may end a sentence
    own = {f for f in listed if f not in flags_of_settings()} - {"--help"}
    assert own <= set(re.findall(r"--[a-z][\w.-]*\w", section))
    assert ("settings of a run" in section) == bool({"--fleet.size", "--data.path"} & listed)


def test_every_public_name_has_one_heading(pages):
    named = re.findall(r"^### ([\w.]+) \{#\1\}", pages[API_PAGE], re.MULTILINE)
    assert sorted(named) == sorted([*typefleet.__all__, *(f"studies.{name}" for name in studies.__all__)])


def test_nothing_of_the_machine_is_in_a_page(pages):
    for place, text in pages.items():
        assert str(ROOT) not in text, place
        assert not re.search(r" at 0x[0-9a-f]+|<(class|function) ", text), place
