"""How pages of results are made from their templates, wherever these lie."""

from pathlib import Path
from typing import TYPE_CHECKING

from typefleet.data_files import data_folder

if TYPE_CHECKING:
    from jinja2 import Environment


REPORT_TEMPLATES = data_folder("simulation.report", __file__, "templates") / "templates"
"""With the style of all pages."""


def page_environment(*templates: Path) -> "Environment":
    """Everything is escaped, and a name that is not handed in is an error.

    Args:
        templates: folders of them; of two with one name the first is taken.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # which no run needs before its end

    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
