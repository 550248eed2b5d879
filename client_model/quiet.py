"""Keep the start-up messages of native code off the terminal.

TensorFlow and TFLite write some before any log level is read: about the absence of a GPU, about
oneDNN (which this project turns on deliberately), about a delegate. They alarm a first-time user and
say nothing. Whatever was written is shown after all if the code that wrote it fails.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_messages_aside() -> Iterator[None]:
    """Set the standard error stream of the whole process aside for a moment."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                aside.seek(0)
                os.write(2, aside.read())


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and let it look for devices, which is when it talks."""
    with native_messages_aside():
        import tensorflow as tf

        tf.config.list_physical_devices()
