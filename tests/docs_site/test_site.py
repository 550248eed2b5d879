"""The pages of the site hang together, without mkdocs; and, where it is installed, what it builds is whole."""

import importlib.util
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from docs_site.links import adopted, flags_of_script_link, for_the_site
from docs_site.pages import generated_pages, version
from tests.conftest import ROOT
from tests.test_documentation import SCRIPTS, commands_of

NAV = re.findall(r"^ +- (?:[^:\n]+: )?([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)


def anchors_of(text: str) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+?)(?: \{#([\w.-]+)\})?$", text, re.MULTILINE)
    return {given or re.sub(r"[^\w\- ]", "", said.lower()).strip().replace(" ", "-") for said, given in headings}


def test_the_navigation_has_every_page_once(pages):
    assert sorted(NAV) == sorted(pages)


def test_every_link_leads_to_a_page_or_picture_of_the_site(pages):
    for place, text in pages.items():
        shown = for_the_site(text, place) + flags_of_script_link(place)
        shown = re.sub(r"^ *```.*?^ *```$", "", shown, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", shown):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = posixpath.normpath(posixpath.join(posixpath.dirname(place), path)) if path else place
            assert there in pages or (ROOT / "docs" / there).is_file(), f"{place}: {target}"
            assert not anchor or anchor in anchors_of(pages[there]), f"{place}: {target}"


def test_no_anchor_of_a_generated_page_is_there_twice():
    for place, text in generated_pages().items():
        given = re.findall(r"^#+ .*\{#([\w.-]+)\}$", text, re.MULTILINE)
        assert len(given) == len(set(given)), place


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_each_script_has_a_guide_with_a_command_of_it(path):
    guide = ROOT / "docs" / "how-to" / f"{path.stem.replace('_', '-')}.md"
    assert any(f"scripts/{path.name}" in words for words in commands_of(guide))
    text = guide.read_text(encoding="utf-8")
    assert [part for part in ("What for", "What you see", "What it means", "Next") if f"**{part}.**" not in text] == []


def test_each_figure_is_in_the_gallery_below_the_command_that_makes_it():
    sections = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8").split("\n## ")[1:]
    for figure in sorted((ROOT / "docs").glob("*.png")):
        (section,) = (section for section in sections if f"({figure.name})" in section)
        assert section.index("scripts/") < section.index(figure.name)


@pytest.mark.parametrize(
    ("link", "place", "on_the_site"),
    [
        ("[p](privacy.md#a)", "index.md", "[p](privacy.md#a)"),
        ("[c](../CONTRIBUTING.md#a-cell)", "privacy.md", "[c](contributing.md#a-cell)"),
        ("[c](../../README.md)", "how-to/simulate.md", "[c](../overview.md)"),
        ("[code](../simulation/api.py)", "privacy.md", "code"),
        ("[`code`](server_strategy/optimizers/base.py)", "contributing.md", "`code`"),
        ("![p](docs/fleet.png)", "overview.md", "![p](fleet.png)"),
        ("[d](docs/decisions/README.md)", "contributing.md", "[d](decisions/README.md)"),
        ("[away](https://flower.ai)", "index.md", "[away](https://flower.ai)"),
        ("```sh\n[no](../simulation/api.py)\n```", "index.md", "```sh\n[no](../simulation/api.py)\n```"),
    ],
)
def test_a_link_gets_the_form_of_the_site(link, place, on_the_site):
    assert for_the_site(link, place) == on_the_site


def test_a_flag_leads_to_its_setting_but_not_in_headings_code_or_links():
    flags = frozenset({"cohort.goal"})
    page = "../reference/settings.md#cohort.goal"
    assert for_the_site("use `--cohort.goal 5`", "how-to/a.md", flags) == f"use [`--cohort.goal 5`]({page})"
    for left in ("## `--cohort.goal`", "`--cohort.other`", "```\n`--cohort.goal`\n```", "[see `--cohort.goal`](a.md)"):
        assert for_the_site(left, "a.md", flags) == left


def test_a_flag_that_a_kind_brings_has_its_plain_name_as_an_anchor(pages):
    there = anchors_of(pages["reference/settings.md"])
    assert {"model.window", "privacy.buffers", "cohort.deadline-s", "cohort.deadline-s-buffered"} <= there


def test_the_citation_is_of_this_version():
    source = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'version: "{version()}"' in source and '- name: "The Typefleet authors"' in source
    assert f"version = {{{version()}}}" in generated_pages()["citation.md"]


def test_files_beside_the_documentation_are_pages_as_they_are(pages):
    for name, place in adopted().items():
        assert pages[place] == (ROOT / name).read_text(encoding="utf-8")


class Fetched(HTMLParser):
    """What a browser would ask for when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.found.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get("href") or "")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="needs .[docs]")
def test_the_built_site_asks_no_other_host_for_anything(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search("oneDNN|absl|DeprecationWarning", done.stderr), done.stderr
    built = list(tmp_path.rglob("*.html"))
    assert len(built) >= len(NAV)
    for path in built:
        parser = Fetched()
        parser.feed(path.read_text(encoding="utf-8"))
        assert not [target for target in parser.found if re.match(r"(https?:)?//", target)], path
    for path in tmp_path.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), path
