"""Pages of results: one file each, that needs no network and no script, on paper, in the dark and on a phone alike."""

from simulation.report.environment import REPORT_TEMPLATES, page_environment
from typefleet.data_files import data_folder

_TEMPLATES = data_folder("simulation.studies", __file__, "templates") / "templates"


def render(template_name: str, **values: object) -> str:
    """A page from one of the templates beside this module, every value escaped; it may include those of the report.

    Args:
        template_name: of the file in templates/.
        values: that the template names.
    """
    return page_environment(_TEMPLATES, REPORT_TEMPLATES).get_template(template_name).render(**values)
