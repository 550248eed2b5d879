/* `client_model.learning.native.kernel`: the Python module around the variants; see kernel.pyi for its functions.
 *
 * It keeps no state, and gives Python's lock back while it computes, but in `elementary` and `prepare_scoring`, which
 * are short. Python 3.11's limited API, so that one build serves every later Python as well.
 */
#include "arguments.h"

#include <stdlib.h>
#include <string.h>

static PyObject *variants(PyObject *module, PyObject *no_arguments)
{
    (void)module, (void)no_arguments;
    PyObject *names = PyList_New(0);
    for (const variant *const *v = all_variants; names && *v; v++) {
        if (!variant_runs(*v)) continue;
        PyObject *name = PyUnicode_FromString((*v)->name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

/* Whether a fused multiply-add is an instruction that the portable variant was compiled to use. */
static PyObject *portable_is_fast(PyObject *module, PyObject *no_arguments)
{
    (void)module, (void)no_arguments;
#if defined(__FP_FAST_FMAF)
    Py_RETURN_TRUE;
#else
    Py_RETURN_FALSE;
#endif
}

enum { A, B, C, BIAS, OPERANDS };

static int take_operands(PyObject *objects[OPERANDS], int a_transposed, int b_transposed, array arrays[OPERANDS],
                         int m_k_n[3])
{
    if (!take_floats(objects[A], "a", -1, -1, 0, &arrays[A]) || !fits_int("a", &arrays[A])) return 0;
    const Py_ssize_t m = arrays[A].view.shape[a_transposed], k = arrays[A].view.shape[!a_transposed];
    if (!take_floats(objects[B], "b", b_transposed ? -1 : k, b_transposed ? k : -1, 0, &arrays[B])) return 0;
    if (!fits_int("b", &arrays[B])) return 0;
    const Py_ssize_t n = arrays[B].view.shape[!b_transposed];
    if (!take_floats(objects[C], "c", m, n, 1, &arrays[C])) return 0;
    if (objects[BIAS] && objects[BIAS] != Py_None && !take_float_vector(objects[BIAS], "bias", n, 0, &arrays[BIAS]))
        return 0;
    m_k_n[0] = (int)m, m_k_n[1] = (int)k, m_k_n[2] = (int)n;
    return 1;
}

static PyObject *multiply(const variant *v, array arrays[OPERANDS], const int m_k_n[3], int a_transposed,
                          int b_transposed, int add)
{
    float *lent = malloc(sizeof(float) * v->product_workspace(m_k_n[1], m_k_n[2]));
    if (!lent) return PyErr_NoMemory();
    const float *a = arrays[A].view.buf, *b = arrays[B].view.buf, *bias = arrays[BIAS].view.buf;
    float *c = arrays[C].view.buf;
    Py_BEGIN_ALLOW_THREADS;
    if (a_transposed)
        v->product_transposed(c, a, b, m_k_n, add, lent);
    else
        v->product(c, a, b, bias, m_k_n, b_transposed, add, lent);
    Py_END_ALLOW_THREADS;
    free(lent);
    Py_RETURN_NONE;
}

static PyObject *product(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    PyObject *objects[OPERANDS];
    int transposed, add, m_k_n[3];
    if (!PyArg_ParseTuple(arguments, "O&OOOOpp:product", to_variant, &v, &objects[C], &objects[A], &objects[B],
                          &objects[BIAS], &transposed, &add))
        return NULL;
    array arrays[OPERANDS] = {0};
    PyObject *done = NULL;
    if (take_operands(objects, 0, transposed, arrays, m_k_n))
        done = multiply(v, arrays, m_k_n, 0, transposed, add);
    release(arrays, OPERANDS);
    return done;
}

static PyObject *product_transposed(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    PyObject *objects[OPERANDS] = {0};
    int add, m_k_n[3];
    if (!PyArg_ParseTuple(arguments, "O&OOOp:product_transposed", to_variant, &v, &objects[C], &objects[A],
                          &objects[B], &add))
        return NULL;
    array arrays[OPERANDS] = {0};
    PyObject *done = NULL;
    if (take_operands(objects, 1, 0, arrays, m_k_n)) done = multiply(v, arrays, m_k_n, 1, 0, add);
    release(arrays, OPERANDS);
    return done;
}

static PyObject *elementary(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    const char *function;
    PyObject *objects[2];
    if (!PyArg_ParseTuple(arguments, "O&sOO:elementary", to_variant, &v, &function, &objects[0], &objects[1]))
        return NULL;
    void (*each)(float *, const float *, size_t) = !strcmp(function, "exp")       ? v->exp
                                                   : !strcmp(function, "sigmoid") ? v->sigmoid
                                                   : !strcmp(function, "tanh")    ? v->tanh
                                                                                  : NULL;
    if (!each) return PyErr_Format(PyExc_ValueError, "elementary: expected exp, sigmoid or tanh, found '%s'", function);
    array arrays[2] = {0};
    PyObject *done = NULL;
    if (take_float_vector(objects[1], "x", -1, 0, &arrays[1]) &&
        take_float_vector(objects[0], "y", arrays[1].view.shape[0], 1, &arrays[0])) {
        each(arrays[0].view.buf, arrays[1].view.buf, (size_t)arrays[1].view.shape[0]);
        done = Py_NewRef(Py_None);
    }
    release(arrays, 2);
    return done;
}

enum { OUTPUTS, TARGETS, EMBEDDING, OUTPUT_BIAS, D_OUTPUTS, STEP_EMBEDDING, STEP_BIAS, LAYER_ARRAYS };

/* Sets sizes and weights of `layer`, and where `step` goes. */
static int take_layer(PyObject *objects[LAYER_ARRAYS], array arrays[LAYER_ARRAYS], output_layer *layer,
                      output_step *step)
{
    if (!take_floats(objects[OUTPUTS], "outputs", -1, -1, 0, &arrays[OUTPUTS])) return 0;
    const Py_ssize_t n = arrays[OUTPUTS].view.shape[0], width = arrays[OUTPUTS].view.shape[1];
    if (!take_floats(objects[EMBEDDING], "embedding", -1, width, 0, &arrays[EMBEDDING])) return 0;
    const Py_ssize_t words = arrays[EMBEDDING].view.shape[0];
    if (!fits_int("outputs", &arrays[OUTPUTS]) || !fits_int("embedding", &arrays[EMBEDDING]) ||
        !take_float_vector(objects[OUTPUT_BIAS], "output_bias", words, 0, &arrays[OUTPUT_BIAS]) ||
        !take_ints(objects[TARGETS], "targets", n, 0, &arrays[TARGETS]) ||
        !ids_within(&arrays[TARGETS], "targets", (int)words) ||
        !take_floats(objects[D_OUTPUTS], "d_outputs", n, width, 1, &arrays[D_OUTPUTS]) ||
        !take_floats(objects[STEP_EMBEDDING], "step_embedding", words, width, 1, &arrays[STEP_EMBEDDING]) ||
        !take_float_vector(objects[STEP_BIAS], "step_bias", words, 1, &arrays[STEP_BIAS]))
        return 0;
    *layer = (output_layer){(int)words, (int)width, arrays[EMBEDDING].view.buf, arrays[OUTPUT_BIAS].view.buf};
    step->embedding = arrays[STEP_EMBEDDING].view.buf, step->bias = arrays[STEP_BIAS].view.buf;
    return 1;
}

static PyObject *loss_of_layer(const variant *v, array arrays[LAYER_ARRAYS], const output_layer *layer,
                               const output_step *step)
{
    const int n = (int)arrays[OUTPUTS].view.shape[0];
    float *lent = malloc(sizeof(float) * v->output_layer_floats(layer->words, layer->width, n));
    if (!lent) return PyErr_NoMemory();
    double loss;
    Py_BEGIN_ALLOW_THREADS;
    loss = v->output_layer_gradients(layer, arrays[OUTPUTS].view.buf, arrays[TARGETS].view.buf, n, step,
                                     arrays[D_OUTPUTS].view.buf, lent);
    Py_END_ALLOW_THREADS;
    free(lent);
    return PyFloat_FromDouble(loss);
}

static PyObject *output_layer_gradients(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    PyObject *objects[LAYER_ARRAYS];
    double scale, size;
    int add;
    if (!PyArg_ParseTuple(arguments, "O&OOOOOOOddp:output_layer_gradients", to_variant, &v, &objects[OUTPUTS],
                          &objects[TARGETS], &objects[EMBEDDING], &objects[OUTPUT_BIAS], &objects[D_OUTPUTS],
                          &objects[STEP_EMBEDDING], &objects[STEP_BIAS], &scale, &size, &add))
        return NULL;
    array arrays[LAYER_ARRAYS] = {0};
    output_layer layer;
    output_step step = {.scale = (float)scale, .step = (float)size, .add = add};
    PyObject *loss = NULL;
    if (take_layer(objects, arrays, &layer, &step)) loss = loss_of_layer(v, arrays, &layer, &step);
    release(arrays, LAYER_ARRAYS);
    return loss;
}

static PyMethodDef methods[] = {
    {"variants", variants, METH_NOARGS, NULL},
    {"portable_is_fast", portable_is_fast, METH_NOARGS, NULL},
    {"product", product, METH_VARARGS, NULL},
    {"product_transposed", product_transposed, METH_VARARGS, NULL},
    {"output_layer_gradients", output_layer_gradients, METH_VARARGS, NULL},
    {"scoring_floats", scoring_floats, METH_VARARGS, NULL},
    {"prepare_scoring", prepare_scoring, METH_VARARGS, NULL},
    {"score_outputs", score_outputs, METH_VARARGS, NULL},
    {"score_logits", score_logits, METH_VARARGS, NULL},
    {"elementary", elementary, METH_VARARGS, NULL},
    {"training_floats", training_floats, METH_VARARGS, NULL},
    {"train", train, METH_VARARGS, NULL},
    {"outputs_floats", outputs_floats, METH_VARARGS, NULL},
    {"outputs", outputs, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* Raised here and in available.py with every change of what a function is given or of what that means: arguments, the
   order of weights, numbers of cells. So a module that was built before the change is never used after it. */
enum { INTERFACE = 1 };

static int add_constants(PyObject *module) { return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "client_model.learning.native.kernel",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModuleDef_Init(&definition); }
