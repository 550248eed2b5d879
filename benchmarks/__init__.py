"""How fast the simulator is, against the machine's limit and against the textbook way; `scripts/benchmark.py`.

The two imports set TensorFlow's and Ray's switches, which must happen before those are imported.
"""

import client_model
import simulation

__all__ = ["client_model", "simulation"]
