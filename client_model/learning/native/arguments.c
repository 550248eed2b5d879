#include "arguments.h"

#include <limits.h>
#include <string.h>

static int runs_here(const variant *v)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); /* some compilers leave that to whoever asks */
    if (v == &variant_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (v == &variant_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return v == &variant_portable;
}

const variant *const all_variants[] = {
#if defined(__x86_64__)
    &variant_avx512,
    &variant_avx2,
#endif
    &variant_portable,
    NULL,
};

int variant_runs(const variant *v) { return runs_here(v); }

int to_variant(PyObject *name, void *into)
{
    const char *wanted;
    if (!PyArg_Parse(name, "s;native kernel: expected the name of a variant", &wanted)) return 0;
    for (const variant *const *v = all_variants; *v; v++) {
        if (strcmp((*v)->name, wanted) || !runs_here(*v)) continue;
        *(const variant **)into = *v;
        return 1;
    }
    PyErr_Format(PyExc_ValueError, "native kernel: expected the name of a variant that this machine runs, found '%s'",
                 wanted);
    return 0;
}

typedef struct {
    const char *formats; /* any of these letters of Python's struct: which of them it is depends on the system */
    const char *name;
    Py_ssize_t bytes;
} item_type;
static const item_type FLOAT32 = {"f", "float32", 4}, INT32 = {"il", "int32", 4}, INT64 = {"lq", "int64", 8};

/* A buffer of aligned items of one type, with as many of them as its dimensions say. */
static int take(PyObject *object, const char *where, item_type type, int writable, array *into)
{
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, &into->view, flags) < 0) return 0;
    into->is_held = 1;
    const char *format = into->view.format ? into->view.format : "B";
    const size_t beyond = (uintptr_t)into->view.buf % (size_t)type.bytes;
    if (format[0] && !format[1] && strchr(type.formats, format[0]) && into->view.itemsize == type.bytes && !beyond)
        return 1;
    PyErr_Format(PyExc_ValueError,
                 "%s: expected aligned %s in this machine's byte order, found format '%s' of %zd bytes, %zu beyond a "
                 "multiple of %zd",
                 where, type.name, format, into->view.itemsize, beyond, type.bytes);
    return 0;
}

static int has_shape(const char *where, const array *of, Py_ssize_t rows, Py_ssize_t columns)
{
    const Py_buffer *view = &of->view;
    if (view->ndim == 2 && (rows < 0 || view->shape[0] == rows) && (columns < 0 || view->shape[1] == columns)) return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected shape [%zd, %zd] (-1: any), found %d dimensions, [%zd, %zd]", where,
                 rows, columns, view->ndim, view->ndim > 0 ? view->shape[0] : -1, view->ndim > 1 ? view->shape[1] : -1);
    return 0;
}

static int has_size(const char *where, const array *of, Py_ssize_t size)
{
    if (of->view.ndim == 1 && (size < 0 || of->view.shape[0] == size)) return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected shape [%zd] (-1: any), found %d dimensions, [%zd]", where, size,
                 of->view.ndim, of->view.ndim > 0 ? of->view.shape[0] : -1);
    return 0;
}

int take_floats(PyObject *object, const char *where, Py_ssize_t rows, Py_ssize_t columns, int writable, array *into)
{
    return take(object, where, FLOAT32, writable, into) && has_shape(where, into, rows, columns);
}

int take_float_vector(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into)
{
    return take(object, where, FLOAT32, writable, into) && has_size(where, into, size);
}

int take_memory(PyObject *object, const char *where, size_t floats, array *into)
{
    if (!take_float_vector(object, where, -1, 1, into)) return 0;
    if ((size_t)into->view.shape[0] >= floats) return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected at least %zu floats, found %zd", where, floats, into->view.shape[0]);
    return 0;
}

int take_ints(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into)
{
    return take(object, where, INT32, writable, into) && has_size(where, into, size);
}

int take_longs(PyObject *object, const char *where, Py_ssize_t size, int writable, array *into)
{
    return take(object, where, INT64, writable, into) && has_size(where, into, size);
}

int take_long_rows(PyObject *object, const char *where, Py_ssize_t rows, Py_ssize_t columns, array *into)
{
    return take(object, where, INT64, 0, into) && has_shape(where, into, rows, columns);
}

int fits_int(const char *where, const array *matrix)
{
    const Py_ssize_t *shape = matrix->view.shape;
    if (shape[0] <= INT_MAX / 2 && shape[1] <= INT_MAX / 2) return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected fewer rows and columns than 2^30, found [%zd, %zd]", where, shape[0],
                 shape[1]);
    return 0;
}

int ids_within(const array *ids, const char *where, int bound)
{
    const int *id = ids->view.buf;
    for (Py_ssize_t i = 0; i < ids->view.shape[0]; i++) {
        if (id[i] >= 0 && id[i] < bound) continue;
        PyErr_Format(PyExc_ValueError, "%s: expected ids of at least 0 and below %d, found %d at %zd", where, bound,
                     id[i], i);
        return 0;
    }
    return 1;
}

void release(array *arrays, int count)
{
    for (int i = 0; i < count; i++)
        if (arrays[i].is_held) PyBuffer_Release(&arrays[i].view);
}
