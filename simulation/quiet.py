"""Import TensorFlow without its unconditional start-up messages.

They are written by native code before any log level is read: about the absence of a GPU, and about
oneDNN, which this project turns on deliberately. Whatever is written is shown if the import fails.
"""

import os
import sys
import tempfile


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and run one operation with the standard error stream set aside."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        failed = True
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                aside.seek(0)
                os.write(2, aside.read())
