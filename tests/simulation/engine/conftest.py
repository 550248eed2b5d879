"""What Flower would tell of this machine."""

import pytest
from flwr.common import telemetry


@pytest.fixture
def reports(monkeypatch):
    """The kinds of the reports that are made while a test runs; none is sent."""
    made = []
    monkeypatch.setitem(telemetry.state, "executor", None)
    monkeypatch.setattr(telemetry, "create_event", lambda kind, details: made.append(kind) or "sent")
    return made
