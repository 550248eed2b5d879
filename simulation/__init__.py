"""The world and the engine: phones, time, network, Flower on Ray, and the life of a run.

Nothing is reported to anybody: the usage reports of Flower and Ray are off unless the environment
says otherwise.
"""

import os
import sys

# Flower reads it when it is first imported, Ray when it is started.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if (_telemetry := sys.modules.get("flwr.common.telemetry")) is not None:
    # Flower came first, as where it loads an app of its own, and has taken it for on. It looks here each time.
    _telemetry.FLWR_TELEMETRY_ENABLED = os.environ["FLWR_TELEMETRY_ENABLED"]  # type: ignore[attr-defined]
# Ray's advice about its future releases is not for the users of this simulator.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Without a dashboard nobody reads Ray's metrics. Its C++ part looks for a reader all the same and
# complains on the terminal half a minute later, so only its fatal messages are let through.
os.environ.setdefault("RAY_enable_metrics_collection", "false")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# Ray's server would remember the last 100,000 messages to workers, for a dashboard that is not there: 13 kB a round.
os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
# Ray would start workers before anybody asks, and wait for ever, deaf to signals, if they cannot run.
os.environ.setdefault("RAY_prestart_worker_first_driver", "false")
# A late call of Flower's, after Ray was stopped, would start another Ray, which listens to everybody.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# When its raylet has died, Ray ends a process at once and without a word whose parent has ended too, as that of a run
# which was left in the background. It looks for this process instead, and not for the one that started it, which may
# have named itself here and ended; in a worker the raylet has named itself.
if not "".join(sys.argv[:1]).endswith("default_worker.py"):
    os.environ["RAY_RAYLET_PID"] = str(os.getpid())
