"""A folder of a run that is not there is said to be missing at the door, by every command that takes one."""

from importlib import import_module

import pytest

from simulation.flags import parse_simulate
from simulation.run_arguments import require_run_folders
from simulation.subcommands import SUBCOMMANDS
from typefleet.errors import ConfigError

NEEDS = {
    "explain_phone": ["--phone", "anna"],
    "forget": ["--phones", "anna"],
    "publish": ["published"],
    "retain": ["--policy", "retention.toml"],
    "sign_off": ["--role", "trainer", "--key", "ann.key"],
}
TAKE_A_RUN = [
    *("assess", "audit", "check_privacy", "check_trail", "compare_central", "compare_runs", "explain_phone", "forget"),
    *("export_model", "keyboard_demo", "measure_additions", "personalise", "price_forgetting", "publish", "report"),
    *("retain", "sign_off", "type_sentences", "verify_model"),
]


@pytest.mark.parametrize("module", TAKE_A_RUN)
def test_a_mistyped_folder_is_said_not_to_be_there_whatever_the_command(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = import_module(f"simulation.commands.{module}").main
    with pytest.raises(ConfigError, match=r"^runs/mistyped: expected the folder of a run, found no such folder$"):
        main(["runs/mistyped", *NEEDS.get(module, [])])
    (tmp_path / "page.md").write_text("")
    with pytest.raises(ConfigError, match=r"^page\.md: expected the folder of a run, found a file$"):
        main(["page.md", *NEEDS.get(module, [])])


def test_every_command_with_such_an_argument_is_among_them():
    from dataclasses import fields

    found = set()
    for one in SUBCOMMANDS.values():
        flags = getattr(import_module(f"simulation.commands.{one.module}"), "Flags", None)
        if flags is not None and {f.name for f in fields(flags)} & {"run_dir", "run_dirs", "runs"}:
            found.add(one.module)
    assert found == set(TAKE_A_RUN)


def test_a_run_to_go_on_with_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(ConfigError, match=r"^mistyped: expected the folder of a run, found no such folder$"):
        parse_simulate(["--resume", "mistyped"])


def test_what_is_there_or_was_not_given_passes(tmp_path):
    from simulation.commands.audit import Flags

    require_run_folders(Flags())
    require_run_folders(Flags(run_dir=tmp_path))
