/* What the module's functions are given, looked at before a pointer moves. */
#ifndef TYPEFLEET_ARGUMENTS_H
#define TYPEFLEET_ARGUMENTS_H

#define Py_LIMITED_API 0x030B0000 /* one build serves Python 3.11 and every later one */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "variant.h"

extern const variant *const all_variants[]; /* the fastest first, then NULL */
int variant_runs(const variant *v);         /* on this machine */

/* For PyArg_ParseTuple's O&: into a `const variant *`, that of a name; a ValueError if this machine runs none. */
int to_variant(PyObject *name, void *into);

/* A C-contiguous buffer of aligned items, held until it is released; all zero until it is taken, and may be released
   then as well. */
typedef struct {
    Py_buffer view;
    int is_held;
} array;

/* Each gives 1, or 0 and a Python error that begins with `where`. A size of -1 is not looked at. */
int take_floats(PyObject *object, const char *where, Py_ssize_t rows, Py_ssize_t columns, int writable, array *into);
int take_float_vector(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into);
int take_ints(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into);  /* int32 [size] */
int take_longs(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into); /* int64 [size] */
int take_long_rows(PyObject *object, const char *where, Py_ssize_t rows, Py_ssize_t columns, array *into); /* int64 */
int take_memory(PyObject *object, const char *where, size_t floats, array *into); /* writable, as large or larger */
int fits_int(const char *where, const array *matrix);           /* fewer rows and columns than 2^30 */
int ids_within(const array *ids, const char *where, int bound); /* int32, each in [0, bound) */
void release(array *arrays, int count);

/* Functions of the module. */
PyObject *training_floats(PyObject *module, PyObject *arguments);
PyObject *train(PyObject *module, PyObject *arguments);
PyObject *outputs_floats(PyObject *module, PyObject *arguments);
PyObject *outputs(PyObject *module, PyObject *arguments);
PyObject *scoring_floats(PyObject *module, PyObject *arguments);
PyObject *prepare_scoring(PyObject *module, PyObject *arguments);
PyObject *score_outputs(PyObject *module, PyObject *arguments);
PyObject *score_logits(PyObject *module, PyObject *arguments);

#endif
