"""The engine on real Ray and Flower: faults leave no mark, and the strategy works in a user's own app."""

import os
import signal

import numpy as np
import psutil
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from server_strategy.cohorts import UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.plain_arrays import plain_record
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.noise_key import NoiseKey
from simulation.engine import exchange as exchange_module
from simulation.engine import flower_on_ray, shared_weights
from simulation.engine.config import EngineConfig
from simulation.engine.engine import Engine
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError
from simulation.engine.flower_on_ray import wait_for_nodes
from tests.simulation.engine import own_app

pytestmark = pytest.mark.slow


def make_strategy(**settings):
    return DPFedAvg(
        UniformCohorts(goal=6),
        60,
        cohort=CohortConfig(goal=6, min_separation_rounds=2),
        privacy=PrivacyConfig(clip_norm=1.0, noise_multiplier=0.05),
        rounds=4,
        noise=NoiseKey.seeded(0),
        optimizer=ServerOptimizerConfig("sgd", 1.0),
        **settings,
    )


def start_arrays():
    return ArrayRecord({"w": Array(np.zeros((4, 5), np.float32))})


def weights(arrays):
    return np.concatenate([a.numpy().ravel() for a in arrays.values()])


@pytest.fixture(scope="module")
def own_server_app(engine_alone):
    """A user's own ServerApp with Flower's own loop."""
    found = {}
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        wait_for_nodes(grid)
        strategy = make_strategy()
        found["arrays"] = strategy.start(grid, start_arrays(), num_rounds=4).arrays
        found["strategy"] = strategy

    init = {"address": "local", "num_cpus": 1, "include_dashboard": False, "log_to_driver": False}
    resources = {"num_cpus": 1, "num_gpus": 0.0}
    run_simulation(app, own_app.app, 3, backend_config={"init_args": init, "client_resources": resources})
    return found


def test_the_strategy_works_in_a_users_own_server_app(own_server_app):
    found = weights(own_server_app["arrays"])
    assert 0.2 < found.mean() < 1.0  # on its way to the phones' common target of 1
    strategy = own_server_app["strategy"]
    assert strategy.releases == strategy.ledger.releases == 4
    assert strategy.last_round.spent.epsilon > 0 and strategy.participation.min_separation >= 2


@pytest.fixture(scope="module")
def own_engine(own_server_app):
    """Our engine with the same client; all tests of the module use it, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flower_on_ray, "client_app", own_app.app)
        with Engine(EngineConfig(workers=2)) as engine:
            yield engine


def play(grid, misbehave="", rounds=4, arrays=None):
    """The same rounds on our engine; returns the weights."""
    wait_for_nodes(grid)
    strategy, arrays = make_strategy(), arrays or start_arrays()
    config = ConfigRecord({"misbehave": misbehave})
    for r in range(1, rounds + 1):
        replies = list(exchange(grid, strategy.configure_train(r, arrays, config, grid), 60.0))
        arrays, _ = strategy.aggregate_train(r, replies)
    return weights(arrays)


@pytest.mark.parametrize("fault", ["", "raise", "die"])
def test_a_host_that_fails_or_dies_leaves_no_mark(own_server_app, own_engine, tmp_path, fault):
    flag = tmp_path / "flag"
    flag.touch()
    found = own_engine.run(lambda grid: play(grid, f"{fault} {flag}" if fault else ""))
    assert flag.exists() == (not fault)  # the fault did happen
    np.testing.assert_array_equal(found, weights(own_server_app["arrays"]))


@pytest.mark.parametrize("fault", ["", "die"])
def test_weights_that_all_messages_share_are_those_that_each_would_have(own_engine, tmp_path, monkeypatch, fault):
    flag, large = tmp_path / "flag", plain_record({"w": np.zeros((150, 200), np.float32)})
    flag.touch()
    found = own_engine.run(lambda grid: play(grid, f"{fault} {flag}" if fault else "", arrays=large))
    monkeypatch.setattr(shared_weights, "_FROM_BYTES", 10**9)  # each message has its own
    np.testing.assert_array_equal(found, own_engine.run(lambda grid: play(grid, arrays=large)))


def test_a_worker_that_hangs_has_its_message_done_by_one_that_has_nothing_to_do(
    own_server_app, own_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(exchange_module, "_GIVEN_TO_ANOTHER", 0.01)  # of a minute
    (flag := tmp_path / "flag").touch()
    try:
        found = own_engine.run(lambda grid: play(grid, f"hang {flag}"))
        hangs = int((tmp_path / "flag.pid").read_text())
        assert psutil.Process(hangs).status() == psutil.STATUS_STOPPED  # to the end
    finally:
        os.kill(hangs, signal.SIGCONT)  # its answers come after all, and nobody takes them
    np.testing.assert_array_equal(found, weights(own_server_app["arrays"]))
    np.testing.assert_array_equal(own_engine.run(play), found)


def test_a_host_that_never_works_stops_the_run_with_its_reason(own_engine, monkeypatch):
    monkeypatch.setattr(exchange_module, "_FIRST_PAUSE_S", 0.01)
    with pytest.raises(EngineError, match=r"an answer in 6 attempts, found .*this host never works"):
        own_engine.run(lambda grid: play(grid, "always raise"))
