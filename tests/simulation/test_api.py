"""What `simulate` and `resume` refuse before anything is looked at; runs are in `test_runs` and the doors' tests."""

import pytest

from client_model.learning.cells.lstm import Lstm
from server_strategy.optimizers.sgd import Sgd
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from simulation.api import resume, simulate
from typefleet.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": {}}, "config: expected a RunConfig, found dict"),
        ({"config": "a.toml"}, "config: expected a RunConfig, found str"),
        ({"cell": "lstm"}, "cell: expected an object with name, .* found 'lstm'; a name belongs in .* model.cell$"),
        ({"server_optimizer": "sgd"}, "found 'sgd'; a name belongs in RunConfig's server_optimizer.name$"),
        ({"mechanism": "blt"}, "found 'blt'; a name belongs in RunConfig's privacy.mechanism$"),
        ({"availability": "model"}, "found 'model'; a name belongs in RunConfig's fleet.availability$"),
        ({"message_format": "csv"}, "found 'csv'; a name belongs in RunConfig's data.format$"),
        ({"metrics": "perplexity"}, "found 'perplexity'; a name belongs in RunConfig's evaluation.metrics$"),
        ({"metrics": ["perplexity"]}, "found 'perplexity'; a name belongs in RunConfig's evaluation.metrics$"),
        ({"metrics": [5]}, "metrics: expected an object with name, counts, value, found int without name, counts"),
        ({"metrics": 5}, "metrics: expected .* found int"),
        ({"devices": 5}, "devices: expected an object with train_s_per_token, .* found int without"),
        ({"engine": 5}, "engine: expected an object with start, run, end_soon, found int without"),
        ({"progress": True}, "progress: expected an object with write, flush, found bool without"),
        ({"cell": Lstm}, "cell: expected .* found the class Lstm itself; hand in an object of it$"),
        ({"server_optimizer": Sgd}, "server_optimizer: expected .* found the class Sgd itself"),
        ({"mechanism": IndependentNoise}, "mechanism: expected .* found the class IndependentNoise itself"),
    ],
)
def test_what_is_no_part_is_refused_in_one_line(given, message):
    with pytest.raises(ConfigError, match=message):
        simulate(**given)
    if "config" not in given:
        with pytest.raises(ConfigError, match=message):
            resume("runs/none", **given)


def test_a_run_is_resumed_by_its_folder():
    with pytest.raises(ConfigError, match="path: expected the folder of a run, found int"):
        resume(5)
