/* The module's functions for training, and for what a cell gives before scoring; see kernel.pyi. */
#include "arguments.h"

#include <limits.h>

enum { LARGEST_SIZE = 1 << 24, LARGEST_WIDTH = 1 << 16 }; /* small enough to be multiplied in 64 bits */
enum { ALIGNMENT = 64 };

/* What is trained or read out, and with which instructions. */
typedef struct {
    const variant *v;
    model_sizes s;
} model;

/* For PyArg_ParseTuple's O&: into a `model`, that of a tuple as in kernel.pyi. */
static int to_model(PyObject *tuple, void *into)
{
    model *found = into;
    model_sizes *s = &found->s;
    if (!PyArg_Parse(
            tuple, "(O&iiiii)", to_variant, &found->v, &s->cell, &s->layers, &s->words, &s->width, &s->units))
        return 0;
    const int most_layers = s->cell == CIFG ? MOST_LAYERS : 1;
    const int is_cell = s->cell >= 0 && s->cell < CELL_KINDS && s->layers >= 1 && s->layers <= most_layers;
    if (is_cell && s->words >= 1 && s->words <= LARGEST_SIZE && s->width >= 1 && s->width <= LARGEST_WIDTH &&
        s->units >= 1 && s->units <= LARGEST_WIDTH)
        return 1;
    PyErr_Format(
        PyExc_ValueError,
        "model: expected a cell of this kernel, its layers, words, width and units, found (%d, %d, %d, %d, %d)",
        s->cell, s->layers, s->words, s->width, s->units);
    return 0;
}

/* Floats of memory for batches of at most so many tokens, of at most so many rows. */
static PyObject *floats_of(PyObject *arguments, int scores)
{
    model m;
    int tokens, rows;
    if (!PyArg_ParseTuple(arguments, "O&ii", to_model, &m, &tokens, &rows)) return NULL;
    if (rows < 0 || rows > tokens)
        return PyErr_Format(PyExc_ValueError, "memory: expected tokens >= rows >= 0, found %d and %d", tokens, rows);
    const size_t floats = scores ? m.v->outputs_floats(m.s, tokens, rows) : m.v->training_floats(m.s, tokens, rows);
    return PyLong_FromSize_t(floats + ALIGNMENT / sizeof(float));
}

PyObject *training_floats(PyObject *module, PyObject *arguments)
{
    (void)module;
    return floats_of(arguments, 0);
}

PyObject *outputs_floats(PyObject *module, PyObject *arguments)
{
    (void)module;
    return floats_of(arguments, 1);
}

/* Rows of each step: none that grows within a batch, as many in all as there are tokens; the largest batch is noted. */
static int rows_fit(const char *where, packed_text *text, Py_ssize_t tokens)
{
    int64_t all = 0, most = 0;
    for (int64_t i = 0; i < text->batches; i++) {
        const int32_t *rows = text->rows + i * text->steps;
        int64_t of_batch = 0;
        for (int t = 0; t < text->steps; t++) {
            if (rows[t] < 0 || (t && rows[t] > rows[t - 1])) {
                PyErr_Format(PyExc_ValueError, "%s: expected rows that fall step by step, found others", where);
                return 0;
            }
            of_batch += rows[t];
        }
        all += of_batch;
        most = of_batch > most ? of_batch : most;
        if (rows[0] > text->most_rows) text->most_rows = rows[0];
    }
    text->most_tokens = (int)most;
    if (all == tokens) return 1;
    PyErr_Format(PyExc_ValueError, "%s: expected rows of %zd tokens, found rows of %lld", where, tokens,
                 (long long)all);
    return 0;
}

enum { RECEIVED, RESULT, INPUTS, TARGETS, ROWS, MEMORY, BUFFERS };

/* The text among the buffers; without targets in scoring. */
static int text_of(PyObject *objects[BUFFERS], array arrays[BUFFERS], int steps, int words, packed_text *text)
{
    if (!take_ints(objects[INPUTS], "inputs", -1, 0, &arrays[INPUTS])) return 0;
    const Py_ssize_t tokens = arrays[INPUTS].view.shape[0];
    if (objects[TARGETS] && !take_ints(objects[TARGETS], "targets", tokens, 0, &arrays[TARGETS])) return 0;
    if (!take_ints(objects[ROWS], "rows", -1, 0, &arrays[ROWS])) return 0;
    const Py_ssize_t counts = arrays[ROWS].view.shape[0];
    if (steps < 1 || counts % steps || tokens > INT_MAX || counts > INT_MAX) {
        PyErr_Format(
            PyExc_ValueError, "rows: expected a number for each of %d steps of each batch, found %zd for %zd tokens",
            steps, counts, tokens);
        return 0;
    }
    *text = (packed_text){
        .inputs = arrays[INPUTS].view.buf,
        .targets = arrays[TARGETS].view.buf,
        .rows = arrays[ROWS].view.buf,
        .batches = (int)(counts / steps),
        .steps = steps,
    };
    return rows_fit("rows", text, tokens) && ids_within(&arrays[INPUTS], "inputs", words) &&
           (!objects[TARGETS] || ids_within(&arrays[TARGETS], "targets", words));
}

/* Where memory begins, at a multiple of 64 bytes; NULL and an error if it is too small. */
static float *memory_of(PyObject *object, array *into, size_t floats)
{
    if (!take_memory(object, "memory", floats + ALIGNMENT / sizeof(float), into)) return NULL;
    const uintptr_t begin = (uintptr_t)into->view.buf;
    return (float *)((begin + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

/* The received weights, and the text; without targets in scoring. */
static int take_inputs(model m, PyObject *objects[BUFFERS], array arrays[BUFFERS], int steps, packed_text *text)
{
    const Py_ssize_t weights = (Py_ssize_t)m.v->count_weights(m.s);
    return take_float_vector(objects[RECEIVED], "received", weights, 0, &arrays[RECEIVED]) &&
           text_of(objects, arrays, steps, m.s.words, text);
}

static PyObject *trained(model m, PyObject *objects[BUFFERS], array arrays[BUFFERS], int steps, sgd how)
{
    packed_text text;
    if (!take_inputs(m, objects, arrays, steps, &text) ||
        !take_float_vector(objects[RESULT], "update", arrays[RECEIVED].view.shape[0], 1, &arrays[RESULT]))
        return NULL;
    const size_t floats = m.v->training_floats(m.s, text.most_tokens, text.most_rows);
    float *memory = memory_of(objects[MEMORY], &arrays[MEMORY], floats);
    if (!memory) return NULL;
    const float *received = arrays[RECEIVED].view.buf;
    float *update = arrays[RESULT].view.buf;
    double loss;
    Py_BEGIN_ALLOW_THREADS;
    loss = m.v->train(m.s, received, update, text, how, memory);
    Py_END_ALLOW_THREADS;
    return PyFloat_FromDouble(loss);
}

PyObject *train(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *objects[BUFFERS];
    model m;
    sgd how;
    int steps;
    if (!PyArg_ParseTuple(
            arguments, "O&(OO)(OOOi)(ff)O:train", to_model, &m, &objects[RECEIVED], &objects[RESULT],
            &objects[INPUTS], &objects[TARGETS], &objects[ROWS], &steps, &how.learning_rate, &how.max_gradient_norm,
            &objects[MEMORY]))
        return NULL;
    array arrays[BUFFERS] = {0};
    PyObject *loss = trained(m, objects, arrays, steps, how);
    release(arrays, BUFFERS);
    return loss;
}

static PyObject *read_out(model m, PyObject *objects[BUFFERS], array arrays[BUFFERS], int steps)
{
    packed_text text;
    if (!take_inputs(m, objects, arrays, steps, &text) ||
        !take_floats(objects[RESULT], "outputs", arrays[INPUTS].view.shape[0], m.s.width, 1, &arrays[RESULT]))
        return NULL;
    const size_t floats = m.v->outputs_floats(m.s, text.most_tokens, text.most_rows);
    float *memory = memory_of(objects[MEMORY], &arrays[MEMORY], floats);
    if (!memory) return NULL;
    const float *received = arrays[RECEIVED].view.buf;
    float *outputs = arrays[RESULT].view.buf;
    Py_BEGIN_ALLOW_THREADS;
    m.v->outputs(m.s, received, outputs, text, memory);
    Py_END_ALLOW_THREADS;
    return Py_NewRef(Py_None);
}

PyObject *outputs(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *objects[BUFFERS] = {0};
    model m;
    int steps;
    if (!PyArg_ParseTuple(
            arguments, "O&(OO)(OOi)O:outputs", to_model, &m, &objects[RECEIVED], &objects[RESULT], &objects[INPUTS],
            &objects[ROWS], &steps, &objects[MEMORY]))
        return NULL;
    array arrays[BUFFERS] = {0};
    PyObject *done = read_out(m, objects, arrays, steps);
    release(arrays, BUFFERS);
    return done;
}
