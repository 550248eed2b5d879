import pytest

from docs_site.pages import generated_pages
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """Every page of the site by its place: those of docs/ as they lie there, and the generated ones."""
    docs = ROOT / "docs"
    written = {str(path.relative_to(docs)): path.read_text(encoding="utf-8") for path in docs.rglob("*.md")}
    return {**written, **generated_pages()}
