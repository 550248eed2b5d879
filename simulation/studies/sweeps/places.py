"""Where the runs of a sweep are carried out: on this machine, or on the machines of a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from simulation.engine.config import EngineConfig
from simulation.engine.failures import EngineError
from simulation.studies.sweeps.desk import Places
from simulation.studies.sweeps.run_host import ClusterChannel
from simulation.studies.sweeps.study_file import Study
from typefleet.errors import ConfigError, expected


@contextmanager
def places_for(study: Study, parallel: int | None, address: str | None) -> Iterator[Places]:
    """Where runs are carried out, while it lasts; a cluster is left at the end.

    Args:
        study: whose settings say how many workers a run has.
        parallel: runs at the same time; None for as many as there is room for.
        address: of a Ray cluster; None for this machine.

    Raises:
        ConfigError: more at the same time than there are processors for.
        EngineError: the cluster cannot be joined.
    """
    engine = study.settings.get("engine")
    workers = engine.get("workers") if isinstance(engine, dict) else None
    if workers is not None and not isinstance(workers, int):
        raise ConfigError(expected(f"{study.source}: engine.workers", "a whole number", type(workers).__name__))
    if address is None:
        here = EngineConfig().workers_here
        number = parallel or 1
        if number > here:
            raise ConfigError(expected("--parallel", f"at most the {here} processors there are", number))
        yield Places(number, workers if number == 1 or workers else max(1, here // number))
        return
    import ray  # takes a second to import

    from simulation.engine.clusters import TRUST_FLAG
    from simulation.engine.ray_start import start_ray, stop_ray

    if ray.is_initialized():
        raise ConfigError(expected("--address", "a process that uses no Ray yet", "one that does"))
    try:
        trusted = isinstance(engine, dict) and engine.get("trust_network") is True
        joined = replace(EngineConfig(), address=address, trust_network=trusted)
        processors = start_ray(joined, for_hosts=False)  # but to start processes
    except EngineError as error:
        said = str(error).removeprefix("--engine.").replace(TRUST_FLAG, "engine.trust_network = true in the settings")
        raise EngineError(f"--{said}") from error  # by the names that they have here
    try:
        own = int(workers or 1)
        number = parallel or max(1, processors // own)
        if number * own > processors:
            room = f"at most {processors // own} runs of {own} workers on {processors} processors"
            raise ConfigError(expected("--parallel", room, number))
        yield Places(number, own, partial(ClusterChannel, processors=own))
    finally:
        stop_ray()
