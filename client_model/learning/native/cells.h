/* All layers of a cell: see client_model/learning/cells/stacked.py for more than one.
 *
 * y_1 = cell_1(x), y_l = y_(l-1) + cell_l(norm(y_(l-1))).
 */
#ifndef TYPEFLEET_CELLS_H
#define TYPEFLEET_CELLS_H

#include "layer.h"
#include "norm.h"

/* Of one layer, from the second on. */
typedef struct {
    float *read;   /* [n, D], what the layer reads */
    float *normal; /* [n, D] */
    float *rate;   /* [n] */
    float *output; /* [n, D]: y_l */
} norm_trace;

typedef struct {
    float *x; /* [n, D] */
    layer_trace layer[MOST_LAYERS];
    norm_trace norm[MOST_LAYERS];
    layer_scratch scratch;
    float *d_output, *d_layer, *d_read; /* [n, D]; the second for more than one layer */
} cell_trace;

/* For training, or for scoring; see layer_trace. */
FUNCTION cell_trace cell_trace_in(arena *w, model_sizes s, int tokens, int rows, int scores)
{
    const size_t each = (size_t)tokens * (size_t)s.width;
    cell_trace made = {0};
    made.x = take(w, each);
    for (int i = 0; i < s.layers; i++) {
        made.layer[i] = trace_in(w, s, tokens, scores ? rows : 0);
        if (!i) continue;
        made.norm[i] = (norm_trace){.read = take(w, each), .normal = take(w, each)};
        made.norm[i].rate = take(w, (size_t)tokens);
        made.norm[i].output = take(w, each);
    }
    made.scratch = scratch_in(w, s, scores ? 0 : tokens, rows);
    if (scores) return made;
    made.d_output = take(w, each);
    made.d_layer = s.layers > 1 ? take(w, each) : NULL;
    made.d_read = take(w, each);
    return made;
}

FUNCTION void sum_into(float *sum, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) sum[i] = a[i] + b[i];
}

/* Outputs [n, D] of the cell, given its trace with x [n, D] in it. */
FUNCTION const float *cell_forward(model_sizes s, const model_weights *weights, cell_trace *trace, batch b)
{
    layer_forward(s, &weights->layer[0], &trace->layer[0], &trace->scratch, b, trace->x);
    const float *output = trace->layer[0].outputs;
    for (int i = 1; i < s.layers; i++) {
        norm_trace *norm = &trace->norm[i];
        norm_forward(norm->read, norm->normal, norm->rate, output, weights->layer[i].norm_gain, b.tokens, s.width);
        layer_forward(s, &weights->layer[i], &trace->layer[i], &trace->scratch, b, norm->read);
        sum_into(norm->output, output, trace->layer[i].outputs, (size_t)b.tokens * (size_t)s.width);
        output = norm->output;
    }
    return output;
}

/* Gradients of the cell's weights, and that of x [n, D] in d_read, given that of the outputs in d_output. */
FUNCTION void cell_backward(
    model_sizes s, const model_weights *weights, const model_weights *gradients, cell_trace *trace, batch b,
    float *lent)
{
    for (int i = s.layers - 1; i > 0; i--) {
        norm_trace *norm = &trace->norm[i];
        memcpy(trace->d_layer, trace->d_output, sizeof(float) * (size_t)b.tokens * (size_t)s.width);
        layer_backward(
            s, &weights->layer[i], &gradients->layer[i], &trace->layer[i], &trace->scratch, b, norm->read,
            trace->d_layer, trace->d_read, lent);
        norm_backward(
            trace->d_output, gradients->layer[i].norm_gain, trace->d_read, norm->normal, norm->rate,
            weights->layer[i].norm_gain, b.tokens, s.width);
    }
    layer_backward(
        s, &weights->layer[0], &gradients->layer[0], &trace->layer[0], &trace->scratch, b, trace->x,
        trace->d_output, trace->d_read, lent);
}

#endif
