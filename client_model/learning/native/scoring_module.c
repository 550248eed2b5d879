/* The module's functions for scoring; see kernel.pyi. */
#include "arguments.h"

#include <limits.h>

enum { LETTERS, ALPHABETICAL, FIRST, LAST, TABLE_ARRAYS };
enum { LOSS, RANK, KEYSTROKES, SCORE_ARRAYS };

/* That the places which these targets are looked up at lie within the alphabet, and hold words. */
static int table_serves(const keystroke_words *table, const array *targets, int words)
{
    const Py_ssize_t places = words - table->first_word;
    for (Py_ssize_t i = 0; i < places; i++) {
        if (table->alphabetical[i] >= table->first_word && table->alphabetical[i] < words) continue;
        PyErr_Format(PyExc_ValueError, "alphabetical: expected ids of words, found %d at %zd", table->alphabetical[i],
                     i);
        return 0;
    }
    const int *target = targets->view.buf;
    for (Py_ssize_t i = 0; i < targets->view.shape[0]; i++) {
        const ptrdiff_t row = (ptrdiff_t)target[i] * table->depth;
        if (table->letters[target[i]] > table->depth + 1) {
            PyErr_Format(PyExc_ValueError, "letters: expected at most %d, found %d of word %d", table->depth + 1,
                         table->letters[target[i]], target[i]);
            return 0;
        }
        for (int typed = 1; typed < table->letters[target[i]]; typed++) {
            const int64_t first = table->first[row + typed - 1], last = table->last[row + typed - 1];
            if (first >= 0 && first <= last && last <= places) continue;
            PyErr_Format(PyExc_ValueError,
                         "first and last: expected places within %zd words, found %lld to %lld of word %d", places,
                         (long long)first, (long long)last, target[i]);
            return 0;
        }
    }
    return 1;
}

/* A KeystrokeTable, or None: then only losses are wanted. */
static int take_table(PyObject *object, const array *targets, int words, array arrays[TABLE_ARRAYS],
                      keystroke_words *table)
{
    if (object == Py_None) return 1;
    if (!PyTuple_Check(object) || PyTuple_Size(object) != TABLE_ARRAYS) {
        PyErr_SetString(PyExc_ValueError, "table: expected a KeystrokeTable or None, found something else");
        return 0;
    }
    if (!take_ints(PyTuple_GetItem(object, LETTERS), "letters", words, 0, &arrays[LETTERS]) ||
        !take_ints(PyTuple_GetItem(object, ALPHABETICAL), "alphabetical", -1, 0, &arrays[ALPHABETICAL]) ||
        !take_long_rows(PyTuple_GetItem(object, FIRST), "first", words, -1, &arrays[FIRST]) ||
        !take_long_rows(PyTuple_GetItem(object, LAST), "last", words, arrays[FIRST].view.shape[1], &arrays[LAST]))
        return 0;
    const Py_ssize_t listed = arrays[ALPHABETICAL].view.shape[0], depth = arrays[FIRST].view.shape[1];
    if (listed > words || depth >= INT_MAX) {
        PyErr_Format(PyExc_ValueError, "table: expected at most %d words, found %zd with %zd letters", words, listed,
                     depth);
        return 0;
    }
    *table = (keystroke_words){
        .first_word = words - (int)listed,
        .depth = (int)depth,
        .letters = arrays[LETTERS].view.buf,
        .alphabetical = arrays[ALPHABETICAL].view.buf,
        .first = arrays[FIRST].view.buf,
        .last = arrays[LAST].view.buf,
    };
    return table_serves(table, targets, words);
}

/* (loss [n], rank [n], keystrokes [n]); without a table only the loss is looked at. */
static int take_scores(PyObject *objects[SCORE_ARRAYS], int is_loss_only, Py_ssize_t n, array arrays[SCORE_ARRAYS],
                       token_scores *scores)
{
    if (!take_float_vector(objects[LOSS], "loss", n, 1, &arrays[LOSS])) return 0;
    scores->loss = arrays[LOSS].view.buf;
    if (is_loss_only) return 1;
    if (!take_longs(objects[RANK], "rank", n, 1, &arrays[RANK]) ||
        !take_longs(objects[KEYSTROKES], "keystrokes", n, 1, &arrays[KEYSTROKES]))
        return 0;
    scores->rank = arrays[RANK].view.buf, scores->keystrokes = arrays[KEYSTROKES].view.buf;
    return 1;
}

PyObject *scoring_floats(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    int words, width;
    if (!PyArg_ParseTuple(arguments, "O&ii:scoring_floats", to_variant, &v, &words, &width)) return NULL;
    if (words < 1 || width < 0)
        return PyErr_Format(PyExc_ValueError, "scoring_floats: expected sizes, found %d, %d", words, width);
    return PyLong_FromSize_t(v->scoring_floats(words, width));
}

PyObject *prepare_scoring(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { EMBEDDING, FLOATS, ARRAYS };
    const variant *v;
    PyObject *objects[ARRAYS], *done = NULL;
    if (!PyArg_ParseTuple(
            arguments, "O&OO:prepare_scoring", to_variant, &v, &objects[EMBEDDING], &objects[FLOATS]))
        return NULL;
    array arrays[ARRAYS] = {0};
    if (take_floats(objects[EMBEDDING], "embedding", -1, -1, 0, &arrays[EMBEDDING]) &&
        fits_int("embedding", &arrays[EMBEDDING])) {
        const int words = (int)arrays[EMBEDDING].view.shape[0], width = (int)arrays[EMBEDDING].view.shape[1];
        if (take_memory(objects[FLOATS], "floats", v->scoring_floats(words, width), &arrays[FLOATS])) {
            const output_layer layer = {words, width, arrays[EMBEDDING].view.buf, NULL};
            v->prepare_scoring(&layer, arrays[FLOATS].view.buf);
            done = Py_NewRef(Py_None);
        }
    }
    release(arrays, ARRAYS);
    return done;
}

/* Both of the functions below: from outputs [n, D] with a bias [V], or from logits [n, V] without. */
static PyObject *score(const variant *v, PyObject *rows, PyObject *bias, PyObject *targets, PyObject *table_object,
                       PyObject *score_objects[SCORE_ARRAYS], PyObject *floats)
{
    enum { ROWS, BIAS, TARGETS, FLOATS, TABLE, SCORES = TABLE + TABLE_ARRAYS, ARRAYS = SCORES + SCORE_ARRAYS };
    array arrays[ARRAYS] = {0};
    keystroke_words table = {0};
    token_scores scores = {0};
    PyObject *done = NULL;
    if (!take_floats(rows, bias ? "outputs" : "logits", -1, -1, 0, &arrays[ROWS]) || !fits_int("rows", &arrays[ROWS]))
        goto done;
    const Py_ssize_t n = arrays[ROWS].view.shape[0], columns = arrays[ROWS].view.shape[1];
    if (bias && !take_float_vector(bias, "output_bias", -1, 0, &arrays[BIAS])) goto done;
    const Py_ssize_t words = bias ? arrays[BIAS].view.shape[0] : columns;
    if (words < 1 || words > INT_MAX / 2) {
        PyErr_Format(PyExc_ValueError, "score: expected at least one word and fewer than 2^30, found %zd", words);
        goto done;
    }
    if (!take_ints(targets, "targets", n, 0, &arrays[TARGETS]) ||
        !ids_within(&arrays[TARGETS], "targets", (int)words) ||
        !take_table(table_object, &arrays[TARGETS], (int)words, arrays + TABLE, &table) ||
        !take_scores(score_objects, table_object == Py_None, n, arrays + SCORES, &scores) ||
        !take_memory(floats, "floats", v->scoring_floats((int)words, bias ? (int)columns : 0), &arrays[FLOATS]))
        goto done;
    const output_layer layer = {(int)words, (int)columns, NULL, arrays[BIAS].view.buf};
    Py_BEGIN_ALLOW_THREADS;
    if (bias)
        v->score_outputs(&layer, arrays[ROWS].view.buf, arrays[TARGETS].view.buf, (int)n, &table, &scores,
                         arrays[FLOATS].view.buf);
    else
        v->score_logits((int)words, arrays[ROWS].view.buf, arrays[TARGETS].view.buf, (int)n, &table, &scores,
                        arrays[FLOATS].view.buf);
    Py_END_ALLOW_THREADS;
    done = Py_NewRef(Py_None);
done:
    release(arrays, ARRAYS);
    return done;
}

PyObject *score_outputs(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    PyObject *outputs, *bias, *targets, *table, *scores[SCORE_ARRAYS], *floats;
    if (!PyArg_ParseTuple(
            arguments, "O&OOOOOOOO:score_outputs", to_variant, &v, &outputs, &bias, &targets, &table, &scores[LOSS],
            &scores[RANK], &scores[KEYSTROKES], &floats))
        return NULL;
    return score(v, outputs, bias, targets, table, scores, floats);
}

PyObject *score_logits(PyObject *module, PyObject *arguments)
{
    (void)module;
    const variant *v;
    PyObject *logits, *targets, *table, *scores[SCORE_ARRAYS], *floats;
    if (!PyArg_ParseTuple(
            arguments, "O&OOOOOOO:score_logits", to_variant, &v, &logits, &targets, &table, &scores[LOSS],
            &scores[RANK], &scores[KEYSTROKES], &floats))
        return NULL;
    return score(v, logits, NULL, targets, table, scores, floats);
}
