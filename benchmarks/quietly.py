"""Imported before anything else, brings TensorFlow in without the lines that it writes on the terminal."""

from client_model.quiet import import_tensorflow_quietly

import_tensorflow_quietly()
