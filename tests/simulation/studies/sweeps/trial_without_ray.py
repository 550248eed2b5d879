"""`simulation.trial_process` whose runs need no Ray: python -m tests.simulation.studies.sweeps.trial_without_ray"""

from simulation import trial_process
from simulation.engine.config import EngineConfig
from tests.simulation.engine_in_process import EngineInProcess


class OwnEngine(EngineInProcess):
    """Its hosts are in the process itself."""

    def __init__(self, config: EngineConfig) -> None:
        pass

    def close(self) -> None:
        pass


if __name__ == "__main__":
    trial_process.Engine = OwnEngine  # type: ignore[misc, assignment]
    trial_process.main()
