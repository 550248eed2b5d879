"""The library's own queries are imported by tests; that works only after our module has prepared it."""

import server_strategy.privacy.noise  # noqa: F401
