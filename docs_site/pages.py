"""The pages of the site that nobody writes by hand, by their place among those of `docs/`."""

import re
import tomllib
from pathlib import Path

from docs_site.api_page import API_PAGE, api_page
from docs_site.links import adopted
from docs_site.settings import ROOT
from docs_site.settings_page import SCRIPTS_PAGE, SETTINGS_PAGE, scripts_page, settings_page

CITATION_PAGE = "citation.md"


def generated_pages() -> dict[str, str]:
    """Path below `docs/` -> Markdown: the reference, the citation, and the pages that lie beside `docs/`."""
    pages = {SETTINGS_PAGE: settings_page(), SCRIPTS_PAGE: scripts_page(), API_PAGE: api_page()}
    pages[CITATION_PAGE] = citation_page()
    for name, place in adopted().items():
        pages[place] = (ROOT / name).read_text(encoding="utf-8")
    return pages


def citation_page() -> str:
    """How to cite the project: what CITATION.cff says, and the same for BibTeX."""
    source = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\s*-?\s*([\w-]+): \"?([^\"\n]+)\"?$", source, re.MULTILINE))
    bibtex = (
        "@software{typefleet,\n"
        f"  title   = {{{said['title']}}},\n"
        f"  author  = {{{{{said['name']}}}}},\n"
        f"  version = {{{said['version']}}},\n"
        "}"
    )
    return (
        "# Citation\n\nIf Typefleet helped with your work, please cite it. `CITATION.cff`, at the top of the project, "
        f"is what hosts of code and reference managers read:\n\n```yaml\n{source}```\n\nThe same for BibTeX:\n\n"
        f"```bibtex\n{bibtex}\n```\n\nA run is cited best with the version, its `config.toml` and the sha256 of its "
        "weights: the same three give the same run again, on the same kind of processor.\n"
    )


def version() -> str:
    """Of the project, as pyproject.toml has it."""
    project = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])
