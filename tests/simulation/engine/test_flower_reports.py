"""Flower describes nobody's machine: off means that no report is made, not only that none is sent."""

import pytest
from flwr.common import telemetry

from simulation.engine.config import EngineConfig
from simulation.engine.engine import Engine
from simulation.engine.flower_on_ray import wait_for_nodes
from simulation.engine.flower_reports import make_no_reports


@pytest.fixture
def made(monkeypatch):
    """What is described of this machine."""
    reports = []
    monkeypatch.setitem(telemetry.state, "executor", None)
    monkeypatch.setattr(telemetry, "create_event", lambda kind, details: reports.append(kind) or "sent")
    return reports


@pytest.mark.slow
def test_an_engine_makes_no_report(engine_alone, made):
    with Engine(EngineConfig(workers=1)) as engine:
        assert engine.run(wait_for_nodes) >= 1
    assert made == []


def test_who_asks_for_reports_gets_them(monkeypatch, made):
    kind = telemetry.EventType.PYTHON_API_RUN_SIMULATION_ENTER
    monkeypatch.setattr(telemetry, "FLWR_TELEMETRY_ENABLED", "1")  # as it is where Flower was imported first
    make_no_reports()
    assert telemetry.event(kind).result() == "disabled" and made == []
    monkeypatch.setitem(telemetry.state, "executor", None)
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    make_no_reports()
    assert telemetry.event(kind).result() == "sent" and made == [kind]
    telemetry.state["executor"].shutdown()
