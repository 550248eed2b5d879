"""What the page says of each file: everything of the table, and each thing once."""

import re

import pytest

from simulation.run.artefacts import ARTEFACTS, BESIDE
from simulation.run.files_statement import WORDS, files_markdown, tellings

PRIVACY = {"epsilon_is_of": "this run", "not_guaranteed": None, "noise_source": "secret", "spent": {"epsilon": 6.3}}


@pytest.mark.parametrize("words", WORDS)
def test_all_that_any_file_tells_is_on_the_page_and_no_file_is_named_twice_for_one_source(words):
    told = tellings([*ARTEFACTS, *BESIDE], PRIVACY, words)
    page = files_markdown(told, is_own=True)
    text = " ".join(page.split())
    for one in told:
        assert one.what in text and one.source.words in text and one.source.cure in text
        assert all(name in text for name in one.files)
        shown = [name for name in one.keys if name != "*" and "{" not in name][:6]
        assert all(f"`{name}`" in text for name in shown)
    for part in re.split(r"^#+ .*$", page, flags=re.MULTILINE):
        for block in part.split("\n**")[1:]:
            named = re.findall(r"^- ((?:.|\n  )*?):(?:\n| )", block, re.MULTILINE)
            assert named and len(named) == len(set(named)), block
    owners = page[page.index("### For the owner of the run alone") :]
    blocks = [one.source for one in told if not one.to_pass_on and not one.later]
    assert owners.partition("where a script")[0].count("\n**") == len(set(blocks))  # one for each source


@pytest.mark.parametrize("is_own", [True, False])
def test_it_can_be_read_in_a_terminal_and_is_markdown(is_own):
    page = files_markdown(tellings([*ARTEFACTS, *BESIDE], PRIVACY, "counted"), is_own=is_own)
    for line in page.splitlines():
        assert len(line) <= 80 or " " not in line.strip(" -"), line
        assert line == line.rstrip()
    above = ""
    for line in page.splitlines():  # a list begins below an empty line, or goes on; so does what follows it
        if line.startswith("- "):
            assert not above or above.startswith(("- ", "  ")), line
        elif line and not line.startswith(" "):
            assert not above.startswith(("- ", "  ")), line
        above = line
