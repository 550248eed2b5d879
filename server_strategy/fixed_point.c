/* `server_strategy.fixed_point`: what is done with every coordinate of every update; see fixed_point.pyi.
 *
 * The same numbers, to the last bit, as the functions of `server_strategy.update_sum`, in one pass over an update each
 * where those need several. It keeps no state, and gives Python's lock back while it computes. Python 3.11's limited
 * API, so that one build serves every later Python as well.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Compiled once for each set of instructions, of which the processor's best is taken when the module is loaded. A wider
 * one changes no bit: each coordinate has its own sum, and nothing is contracted (-ffp-contract=off). */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12
#define EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_PROCESSOR
#endif

EACH_PROCESSOR static void square_lanes(const float *update, Py_ssize_t size, double *lanes, Py_ssize_t width)
{
    for (Py_ssize_t begin = 0; begin < size; begin += width) {
        const float *row = update + begin;
        const Py_ssize_t count = size - begin < width ? size - begin : width;
        for (Py_ssize_t i = 0; i < count; i++) lanes[i] += (double)row[i] * (double)row[i];
    }
}

EACH_PROCESSOR static void add_rounded(int64_t *total, const float *update, Py_ssize_t size, double factor,
                                       double rounder)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        const double shifted = (double)update[i] * factor + rounder;
        int64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        total[i] = (int64_t)((uint64_t)total[i] + (uint64_t)bits); /* modulo 2^64 */
    }
}

/* A vector of one type, contiguous and aligned: 1 if it is, else an exception is set. types: any of these letters. */
static int take_vector(PyObject *object, const char *name, const char *types, Py_ssize_t itemsize, int writable,
                       Py_buffer *view)
{
    const int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0) return 0;
    const char *format = view->format ? view->format : "B";
    if (view->ndim == 1 && view->itemsize == itemsize && format[0] && strchr(types, format[0]) && !format[1] &&
        (uintptr_t)view->buf % (size_t)itemsize == 0)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected a vector of '%s' of %zd bytes, found %d dimensions of '%s'", name,
                 types, itemsize, view->ndim, format);
    PyBuffer_Release(view);
    return 0;
}

static PyObject *add_squares(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *to, *of;
    Py_buffer lanes, update;
    if (!PyArg_ParseTuple(arguments, "OO:add_squares", &to, &of)) return NULL;
    if (!take_vector(of, "update", "f", sizeof(float), 0, &update)) return NULL;
    if (!take_vector(to, "lanes", "d", sizeof(double), 1, &lanes)) {
        PyBuffer_Release(&update);
        return NULL;
    }
    if (lanes.shape[0] > 0) {
        Py_BEGIN_ALLOW_THREADS;
        square_lanes(update.buf, update.shape[0], lanes.buf, lanes.shape[0]);
        Py_END_ALLOW_THREADS;
    } else {
        PyErr_SetString(PyExc_ValueError, "lanes: expected at least one, found none");
    }
    PyBuffer_Release(&update);
    PyBuffer_Release(&lanes);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *add_scaled(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *to, *of;
    double factor, rounder;
    Py_buffer total, update;
    if (!PyArg_ParseTuple(arguments, "OOdd:add_scaled", &to, &of, &factor, &rounder)) return NULL;
    if (!take_vector(of, "update", "f", sizeof(float), 0, &update)) return NULL;
    if (!take_vector(to, "total", "lq", sizeof(int64_t), 1, &total)) {
        PyBuffer_Release(&update);
        return NULL;
    }
    if (total.shape[0] == update.shape[0]) {
        Py_BEGIN_ALLOW_THREADS;
        add_rounded(total.buf, update.buf, total.shape[0], factor, rounder);
        Py_END_ALLOW_THREADS;
    } else {
        PyErr_Format(PyExc_ValueError, "update: expected %zd coordinates, found %zd", total.shape[0], update.shape[0]);
    }
    PyBuffer_Release(&update);
    PyBuffer_Release(&total);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"add_squares", add_squares, METH_VARARGS, "Add the squares of a vector to lanes, coordinate i to lane i % lanes."},
    {"add_scaled", add_scaled, METH_VARARGS, "Add factor * update, rounded to whole numbers, and the rounder's bits."},
    {NULL, NULL, 0, NULL},
};

/* Raised here and in update_sum.py with every change of what a function is given or of what that means. So a module
 * that was built before the change is never used after it. */
enum { INTERFACE = 1 };

static int add_constants(PyObject *module) { return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fixed_point",
    .m_doc = "Squares and fixed-point sums of updates.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_fixed_point(void) { return PyModuleDef_Init(&definition); }
