"""What runs on the server: cohorts, clipped sums, noise, the privacy ledger and the Flower Strategy.

This package knows nothing of phones' text or of the simulated world. What it needs of the world it
asks through one small protocol, `cohorts.CohortSource`.
"""

import os

# Read at TensorFlow's first import, which tensorflow-privacy brings about.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
