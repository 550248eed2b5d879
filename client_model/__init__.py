"""What runs on the phone: text, vocabulary, the model, local training and the file a phone executes.

This package knows nothing of servers or fleets. What crosses its border is plain numpy: weights as
an ordered list of float32 arrays, an update as one flat float32 vector.
"""

import os

# Read by TensorFlow once, at its first import, so it must be set before. oneDNN's matrix products
# are off by default on processors without AVX-512 and are the faster ones there as well.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Flower's own switch for this never reaches its Ray actors.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
