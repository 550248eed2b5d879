/* What the layers of gated cells share: the batch, what a forward pass keeps of it, and the gradients of the weights.
 *
 * The rows of step t are the first rows[t] of those of step t - 1, and stand after them. n tokens, D the width of the
 * embedding, U units, G gates, R the width of the recurrent input: D, but U for the LSTM.
 */
#ifndef TYPEFLEET_GATED_H
#define TYPEFLEET_GATED_H

#include "elementary.h"
#include "products.h"
#include "weights.h"
#include "arena.h"

typedef struct {
    int tokens; /* n */
    int steps;  /* that have rows */
    const int32_t *rows;
} batch;

/* Of one layer. What of it the cell does not need is NULL.
 *
 * In training all n tokens are kept; in scoring the `place` of a step is one of two, in turns, and n below is twice the
 * rows of the first step, but for outputs.
 */
typedef struct {
    int in_turns;       /* rows of the first step, in scoring; 0 in training */
    float *gates;       /* [n, G U]: sums that go into the gates, then their values, then the gradients of the sums */
    float *cell;        /* [n, U]; the LSTM's and CIFG's */
    float *tanh_cell;   /* [n, U]; the LSTM's and CIFG's */
    float *recalled;    /* [n, U]: what the reset gate acts on; the GRU's */
    float *d_recurrent; /* [n, G U]: gradients of the recurrent products; the GRU's, elsewhere those of gates */
    float *hidden;      /* [n, U]: what the projection reads */
    float *outputs;     /* [n, D] */
    packed_matrix kernel, back; /* of products of a few rows with the recurrent kernel, and with it transposed */
} layer_trace;

/* A step of a forward pass: its rows, at which token they begin, and where what is kept of them stands. */
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
    next.place = trace->in_turns ? (size_t)(next.t % 2) * (size_t)trace->in_turns : next.token;
    return next;
}

/* Scratch of one layer's passes, used by one after another. */
typedef struct {
    packed_matrix other;  /* any matrix of the layer, but the recurrent kernel */
    packed_matrix second; /* the projection, beside it */
    float *of_rows;       /* [rows of step 0, G U] */
    float *carried;       /* [rows of step 0, U]: gradient that goes to the step before through the cell */
    float *fed;           /* [n, R]: recurrent inputs, for the gradient of their kernel */
} layer_scratch;

INLINE vec vget(const float *p, int left) { return left >= LANES ? vload(p) : vload_some(p, left); }
INLINE void vput(float *p, vec x, int left)
{
    if (left >= LANES)
        vstore(p, x);
    else
        vstore_some(p, x, left);
}

/* Gradient of x, given y = sigmoid(x) or y = tanh(x), and the gradient of y. */
INLINE vec through_sigmoid(vec y, vec dy) { return vmul(vmul(dy, y), vsub(vall(1.0f), y)); }
INLINE vec through_tanh(vec y, vec dy) { return vmul(dy, vfnma(y, y, vall(1.0f))); }

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

/* in_turns: see layer_trace. */
FUNCTION layer_trace trace_in(arena *w, model_sizes s, int tokens, int in_turns)
{
    const size_t n = in_turns ? 2 * (size_t)in_turns : (size_t)tokens;
    const size_t units = (size_t)s.units, across = (size_t)gates_of(s) * units;
    layer_trace made = {.in_turns = in_turns};
    made.gates = take(w, n * across);
    made.hidden = take(w, n * units);
    made.outputs = take(w, (size_t)tokens * (size_t)s.width);
    if (s.cell == GRU) {
        made.recalled = take(w, n * units);
        made.d_recurrent = in_turns ? NULL : take(w, n * across);
    } else {
        made.cell = take(w, n * units);
        made.tanh_cell = take(w, n * units);
    }
    made.kernel.panels = take(w, packed_floats(recurrent_width(s), (int)across));
    made.back.panels = in_turns ? NULL : take(w, packed_floats((int)across, recurrent_width(s)));
    return made;
}

/* What the gates of a step, or of all tokens at once where all are kept, get from x [n, D] and the bias. */
INLINE void input_sums(
    model_sizes s, const layer_weights *weights, layer_trace *trace, const layer_scratch *scratch, batch b, step now,
    const float *x)
{
    const int across = gates_of(s) * s.units, rows = trace->in_turns ? now.rows : b.tokens;
    if (!trace->in_turns && now.t) return;
    product(
        trace->gates + now.place * (size_t)across, across, x + now.token * (size_t)s.width, s.width, rows,
        &scratch->other, weights->gate_bias, 0);
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

/* Gradients of a layer's weights but the projection's, and d_x [n, D], given those of the sums that go into the gates.
 *
 * x [n, D] is what the layer read, `states` [n, R] what its steps hand on.
 */
FUNCTION void gate_gradients(
    model_sizes s, const layer_weights *weights, const layer_weights *gradients, const layer_trace *trace,
    layer_scratch *scratch, batch b, const float *x, const float *states, float *d_x, float *lent)
{
    const int across = gates_of(s) * s.units, width = recurrent_width(s), first = b.rows[0], later = b.tokens - first;
    const float *dz = trace->gates, *dr = trace->d_recurrent ? trace->d_recurrent : dz;
    product_transposed(gradients->input_kernel, across, x, s.width, dz, across, s.width, across, b.tokens, 0, lent);
    states_fed(scratch->fed, states, b, width);
    product_transposed(
        gradients->recurrent_kernel, across, scratch->fed, width, dr + (size_t)first * (size_t)across, across, width,
        across, later, 0, lent);
    column_sums(gradients->gate_bias, dz, b.tokens, across);
    packed_from(&scratch->other, across, s.width, weights->input_kernel, across, 1);
    product(d_x, s.width, dz, across, b.tokens, &scratch->other, NULL, 0);
}

#endif
