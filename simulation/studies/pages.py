"""Pages of results: one file each, that needs no network and no script, on paper, in the dark and on a phone alike."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> "Environment":
    """Everything is escaped, and a name that is not handed in is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template_name: str, **values: object) -> str:
    """A page from one of the templates beside this module, every value escaped.

    Args:
        template_name: of the file in templates/.
        values: that the template names.
    """
    return _environment().get_template(template_name).render(**values)
