/* One layer of a gated cell: what a forward pass keeps of it, and both passes, the same for each of kinds.h.
 *
 * The rows of step t are the first rows[t] of those of step t - 1, and stand after them. n tokens, D the width of the
 * embedding, U units, G gates, R the width of the recurrent input: D, or U where the hidden state recurs.
 */
#ifndef TYPEFLEET_LAYER_H
#define TYPEFLEET_LAYER_H

#include "arena.h"
#include "products.h"
#include "weights.h"

typedef struct {
    int tokens; /* n */
    int steps;  /* that have rows */
    const int32_t *rows;
} batch;

/* In training all n tokens are kept. In scoring each step takes the place of the one before, row by row, and n below is
 * the rows of the first step, but for outputs.
 */
typedef struct {
    int in_place;       /* rows of the first step, in scoring; 0 in training */
    float *gates;       /* [n, G U]: sums that go into the gates, then their values, then the gradients of the sums */
    float *memory;      /* [n, U]: what a step hands on within the cell; `hidden` itself where they are one */
    float *saved;       /* [n, U]: see cell_lanes */
    float *d_recurrent; /* [n, G U]: gradients of a product apart; else `gates` themselves */
    float *hidden;      /* [n, U]: what the projection reads */
    float *outputs;     /* [n, D] */
    packed_matrix kernel, back; /* of products of a few rows with the recurrent kernel, and with it transposed */
} layer_trace;

/* A step of a pass: its rows, at which token they begin, and where what is kept of them stands. */
typedef struct {
    int t, rows;
    size_t token, place, token_before, place_before;
} step;

INLINE step first_step(batch b) { return (step){.rows = b.rows[0]}; }
INLINE step step_after(step now, batch b, const layer_trace *trace)
{
    step next = {
        .t = now.t + 1,
        .token = now.token + (size_t)now.rows,
        .token_before = now.token,
        .place_before = now.place,
    };
    next.rows = next.t < b.steps ? b.rows[next.t] : 0;
    next.place = trace->in_place ? 0 : next.token;
    return next;
}

/* The same the other way, in training alone. */
INLINE step end_of_steps(batch b) { return (step){.t = b.steps, .token = (size_t)b.tokens, .place = (size_t)b.tokens}; }
INLINE step step_before(step now, batch b)
{
    const int t = now.t - 1, rows = b.rows[t];
    const size_t token = now.token - (size_t)rows, token_before = token - (size_t)(t ? b.rows[t - 1] : 0);
    return (step){t, rows, token, token, token_before, token_before};
}

/* Scratch of one layer's passes, used by one after another. */
typedef struct {
    packed_matrix other;  /* any matrix of the layer, but the recurrent kernel */
    packed_matrix second; /* the projection, beside it */
    float *of_rows;       /* [rows of step 0, G U] */
    float *carried;       /* [rows of step 0, U]: gradient that goes to the step before through the memory */
    float *fed;           /* [n, R]: recurrent inputs, for the gradient of their kernel */
} layer_scratch;

INLINE void packed_from(packed_matrix *to, int k, int n, const float *b, int ldb, int transposed)
{
    to->k = k, to->n = n;
    pack(to, b, ldb, transposed);
}

FUNCTION size_t most_panels(size_t so_far, int k, int n)
{
    size_t floats = packed_floats(k, n);
    return floats > so_far ? floats : so_far;
}

FUNCTION layer_scratch scratch_in(arena *w, model_sizes s, int tokens, int rows)
{
    const int across = gates_of(s) * s.units;
    size_t panels = most_panels(packed_floats(s.width, across), across, s.width);
    size_t small = most_panels(packed_floats(s.width, s.units), s.units, s.width);
    layer_scratch made = {0};
    made.other.panels = take(w, panels);
    made.second.panels = take(w, small);
    made.of_rows = take(w, (size_t)rows * (size_t)across);
    made.carried = take(w, (size_t)rows * (size_t)s.units);
    made.fed = take(w, (size_t)tokens * (size_t)recurrent_width(s));
    return made;
}

/* in_place: see layer_trace. */
FUNCTION layer_trace trace_in(arena *w, model_sizes s, int tokens, int in_place)
{
    const cell_traits of = cell_of(s)->traits;
    const size_t n = (size_t)(in_place ? in_place : tokens);
    const size_t units = (size_t)s.units, across = (size_t)of.gates * units;
    layer_trace made = {.in_place = in_place};
    made.gates = take(w, n * across);
    made.hidden = take(w, n * units);
    made.outputs = take(w, (size_t)tokens * (size_t)s.width);
    made.memory = of.memory_is_hidden ? made.hidden : take(w, n * units);
    made.saved = take(w, n * units);
    made.d_recurrent = of.product_apart && !in_place ? take(w, n * across) : made.gates;
    made.kernel.panels = take(w, packed_floats(recurrent_width(s), (int)across));
    made.back.panels = in_place ? NULL : take(w, packed_floats((int)across, recurrent_width(s)));
    return made;
}

/* What the gates of a step, or of all tokens at once where all are kept, get from x [n, D] and the bias. */
INLINE void input_sums(
    model_sizes s, const layer_weights *weights, layer_trace *trace, const layer_scratch *scratch, batch b, step now,
    const float *x)
{
    const int across = gates_of(s) * s.units, rows = trace->in_place ? now.rows : b.tokens;
    if (!trace->in_place && now.t) return;
    product(
        trace->gates + now.place * (size_t)across, across, x + now.token * (size_t)s.width, s.width, rows,
        &scratch->other, weights->gate_bias, 0);
}

/* The rows of a step as its cell sees them, but what each pass has of its own. */
INLINE step_rows rows_of(model_sizes s, const layer_trace *trace, step now)
{
    const size_t units = (size_t)s.units, across = (size_t)gates_of(s) * units;
    return (step_rows){
        .rows = now.rows,
        .units = s.units,
        .gates = trace->gates + now.place * across,
        .before = now.t ? trace->memory + now.place_before * units : NULL,
        .memory = trace->memory + now.place * units,
        .saved = trace->saved + now.place * units,
        .hidden = trace->hidden + now.place * units,
    };
}

/* Outputs of all steps, given x [n, D]. */
FUNCTION void layer_forward(
    model_sizes s, const layer_weights *weights, layer_trace *trace, layer_scratch *scratch, batch b, const float *x)
{
    const gated_cell *cell = cell_of(s);
    const cell_traits of = cell->traits;
    const int units = s.units, width = s.width, across = of.gates * units, recurrent = recurrent_width(s);
    packed_from(&scratch->other, width, across, weights->input_kernel, across, 0);
    packed_from(&trace->kernel, recurrent, across, weights->recurrent_kernel, across, 0);
    packed_from(&scratch->second, units, width, weights->projection, width, 0);
    for (step now = first_step(b); now.t < b.steps; now = step_after(now, b, trace)) {
        step_rows rows = rows_of(s, trace, now);
        rows.recurrent = of.product_apart ? scratch->of_rows : rows.gates;
        const float *fed = of.hidden_recurs ? trace->hidden + now.place_before * (size_t)units
                                            : trace->outputs + now.token_before * (size_t)width;
        input_sums(s, weights, trace, scratch, b, now, x);
        if (now.t)
            product(rows.recurrent, across, fed, recurrent, now.rows, &trace->kernel, NULL, !of.product_apart);
        cell->forward(rows);
        float *outputs = trace->outputs + now.token * (size_t)width;
        product(outputs, width, rows.hidden, units, now.rows, &scratch->second, NULL, 0);
    }
}

/* sums [columns] of the rows of x [rows, columns], one after another */
FUNCTION void column_sums(float *sums, const float *x, int rows, int columns)
{
    memset(sums, 0, sizeof(float) * (size_t)columns);
    for (int i = 0; i < rows; i++, x += columns)
        for (int j = 0; j < columns; j += LANES)
            vput(sums + j, vadd(vget(sums + j, columns - j), vget(x + j, columns - j)), columns - j);
}

/* What step t + 1 read of step t: of states [n, width] those of rows that still ran, [n - rows of step 0, width]. */
FUNCTION void states_fed(float *fed, const float *states, batch b, int width)
{
    for (int t = 0; t + 1 < b.steps; t++) {
        const size_t floats = (size_t)b.rows[t + 1] * (size_t)width;
        memcpy(fed, states, sizeof(float) * floats);
        fed += floats;
        states += (size_t)b.rows[t] * (size_t)width;
    }
}

/* Gradients of a layer's weights, given that of the outputs and, in the trace, those of the sums that go into the gates
 * and of the recurrent products.
 */
FUNCTION void weight_gradients(
    model_sizes s, const layer_weights *gradients, const layer_trace *trace, layer_scratch *scratch, batch b,
    const float *x, const float *d_outputs, float *lent)
{
    const int units = s.units, width = s.width, across = gates_of(s) * units, recurrent = recurrent_width(s);
    const int first = b.rows[0], later = b.tokens - first;
    const float *states = cell_of(s)->traits.hidden_recurs ? trace->hidden : trace->outputs;
    product_transposed(
        gradients->projection, width, trace->hidden, units, d_outputs, width, units, width, b.tokens, 0, lent);
    product_transposed(
        gradients->input_kernel, across, x, width, trace->gates, across, width, across, b.tokens, 0, lent);
    states_fed(scratch->fed, states, b, recurrent);
    product_transposed(
        gradients->recurrent_kernel, across, scratch->fed, recurrent,
        trace->d_recurrent + (size_t)first * (size_t)across, across, recurrent, across, later, 0, lent);
    column_sums(gradients->gate_bias, trace->gates, b.tokens, across);
}

/* Gradients of x [n, D] and of the weights; d_outputs [n, D] becomes that of what the recurrence reads, too. */
FUNCTION void layer_backward(
    model_sizes s, const layer_weights *weights, const layer_weights *gradients, layer_trace *trace,
    layer_scratch *scratch, batch b, const float *x, float *d_outputs, float *d_x, float *lent)
{
    const gated_cell *cell = cell_of(s);
    const int units = s.units, width = s.width, across = gates_of(s) * units, recurrent = recurrent_width(s);
    const int hidden_recurs = cell->traits.hidden_recurs;
    packed_from(&trace->back, across, recurrent, weights->recurrent_kernel, across, 1);
    packed_from(&scratch->second, width, units, weights->projection, width, 1);
    for (step after = end_of_steps(b); after.t;) {
        const step now = step_before(after, b);
        step_rows rows = rows_of(s, trace, now);
        float *d_output = d_outputs + now.token * (size_t)width, *d_hidden = scratch->of_rows;
        const float *d_after = trace->d_recurrent + after.place * (size_t)across;
        if (!hidden_recurs) product(d_output, width, d_after, across, after.rows, &trace->back, NULL, 1);
        product(d_hidden, units, d_output, width, now.rows, &scratch->second, NULL, 0);
        if (hidden_recurs) product(d_hidden, units, d_after, across, after.rows, &trace->back, NULL, 1);
        rows.after = after.rows;
        rows.recurrent = trace->d_recurrent + now.place * (size_t)across;
        rows.d_hidden = d_hidden, rows.d_memory = scratch->carried;
        cell->backward(rows);
        after = now;
    }
    weight_gradients(s, gradients, trace, scratch, b, x, d_outputs, lent);
    packed_from(&scratch->other, across, width, weights->input_kernel, across, 1);
    product(d_x, width, trace->gates, across, b.tokens, &scratch->other, NULL, 0);
}

#endif
