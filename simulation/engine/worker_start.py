"""What a worker process does first, named in `ray_start`: import what every message needs."""

import gc

from client_model.quiet import quick_imports, restore_keras_switch


def import_early() -> None:
    """Import the hosts' code and TensorFlow while the driver still prepares."""
    restore_keras_switch()
    with quick_imports():
        import simulation.engine.client_app  # noqa: F401
    gc.freeze()  # what was imported lives as long as the process


def import_without_tensorflow() -> None:
    """The same for hosts whose kernel is the native one."""
    restore_keras_switch()
    with quick_imports():
        import simulation.engine.client_app  # noqa: F401
    gc.freeze()
