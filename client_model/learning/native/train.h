/* The module's functions for training; see kernel.pyi. */
#ifndef TYPEFLEET_TRAIN_H
#define TYPEFLEET_TRAIN_H

#include "arguments.h"

PyObject *training_floats(PyObject *module, PyObject *arguments);
PyObject *train(PyObject *module, PyObject *arguments);

#endif
