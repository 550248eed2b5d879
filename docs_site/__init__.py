"""What makes the documentation site out of `docs/` and of the code: `mkdocs build --strict`.

`pages.py` writes the pages that nobody writes by hand, without mkdocs, so that they can be tested without it;
`hooks.py` hands them to mkdocs, which knows nothing else of this package. Not part of the installation.
"""
