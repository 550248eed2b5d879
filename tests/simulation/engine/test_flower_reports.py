"""Flower describes nobody's machine: off means that no report is made, not only that none is sent.

That an engine makes none is tested in `test_engine`.
"""

from flwr.common import telemetry

from simulation.engine.flower_reports import make_no_reports


def test_who_asks_for_reports_gets_them(monkeypatch, reports):
    kind = telemetry.EventType.PYTHON_API_RUN_SIMULATION_ENTER
    monkeypatch.setattr(telemetry, "FLWR_TELEMETRY_ENABLED", "1")  # as it is where Flower was imported first
    make_no_reports()
    assert telemetry.event(kind).result() == "disabled" and reports == []
    monkeypatch.setitem(telemetry.state, "executor", None)
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    make_no_reports()
    assert telemetry.event(kind).result() == "sent" and reports == [kind]
    telemetry.state["executor"].shutdown()
