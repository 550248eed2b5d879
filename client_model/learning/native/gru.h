/* The passes of `gru`: see client_model/learning/cells/gru.py. Gates: update z, reset r, candidate g.
 *
 * h = g + z (h' - g) of the memory h' before, where the reset gate acts on the recurrent product: g = tanh(sum + r q).
 * Output y = h P, which is the next step's recurrent input.
 */
#ifndef TYPEFLEET_GRU_H
#define TYPEFLEET_GRU_H

#include "gated.h"

/* Of one row of a step: gates [3 U] from sums of the input to values, recalled and memory [U].
 *
 * of_hidden [3 U]: recurrent product, and `before` [U] the memory; both NULL in the first step, where they are zero.
 */
INLINE void gru_row(
    int units, float *gates, const float *of_hidden, const float *before, float *recalled, float *memory)
{
    float *updates = gates, *resets = gates + units, *candidates = gates + 2 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec update = vget(updates + i, left), reset = vget(resets + i, left), candidate = vget(candidates + i, left);
        vec recall = vzero(), kept = vzero();
        if (before) {
            update = vadd(update, vget(of_hidden + i, left));
            reset = vadd(reset, vget(of_hidden + units + i, left));
            recall = vget(of_hidden + 2 * units + i, left);
            kept = vget(before + i, left);
        }
        update = vsigmoid(update), reset = vsigmoid(reset), candidate = vtanh(vfma(reset, recall, candidate));
        vput(updates + i, update, left);
        vput(resets + i, reset, left);
        vput(candidates + i, candidate, left);
        vput(recalled + i, recall, left);
        vput(memory + i, vfma(update, vsub(kept, candidate), candidate), left);
    }
}

/* Gates [3 U] from values to the gradients of their sums, and d_recurrent [3 U] to those of the recurrent product.
 *
 * d_memory [U]: from the projection; carried [U] as in `cifg_row_back`.
 */
INLINE void gru_row_back(
    int units, float *gates, float *d_recurrent, const float *before, const float *recalled, const float *d_memory,
    float *carried, int goes_on)
{
    float *updates = gates, *resets = gates + units, *candidates = gates + 2 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec update = vget(updates + i, left), reset = vget(resets + i, left), candidate = vget(candidates + i, left);
        vec kept = vsub(before ? vget(before + i, left) : vzero(), candidate), dm = vget(d_memory + i, left);
        if (goes_on) dm = vadd(dm, vget(carried + i, left));
        vec d_kept = vmul(dm, update), d_update = through_sigmoid(update, vmul(dm, kept));
        vec d_candidate = through_tanh(candidate, vsub(dm, d_kept));
        vec d_reset = through_sigmoid(reset, vmul(d_candidate, vget(recalled + i, left)));
        vput(updates + i, d_update, left);
        vput(resets + i, d_reset, left);
        vput(candidates + i, d_candidate, left);
        vput(d_recurrent + i, d_update, left);
        vput(d_recurrent + units + i, d_reset, left);
        vput(d_recurrent + 2 * units + i, vmul(d_candidate, reset), left);
        vput(carried + i, d_kept, left);
    }
}

/* Outputs of all steps, given x [n, D]. */
FUNCTION void gru_forward(
    model_sizes s, const layer_weights *weights, layer_trace *trace, layer_scratch *scratch, batch b, const float *x)
{
    const int units = s.units, width = s.width, across = 3 * units;
    packed_from(&scratch->other, width, across, weights->input_kernel, across, 0);
    packed_from(&trace->kernel, width, across, weights->recurrent_kernel, across, 0);
    packed_from(&scratch->second, units, width, weights->projection, width, 0);
    for (step now = first_step(b); now.t < b.steps; now = step_after(now, b, trace)) {
        float *gates = trace->gates + now.place * (size_t)across;
        float *outputs = trace->outputs + now.token * (size_t)width;
        input_sums(s, weights, trace, scratch, b, now, x);
        const float *recurrent = trace->outputs + now.token_before * (size_t)width;
        if (now.t) product(scratch->of_rows, across, recurrent, width, now.rows, &trace->kernel, NULL, 0);
        for (size_t r = 0; r < (size_t)now.rows; r++) {
            const size_t here = (now.place + r) * (size_t)units;
            const float *before = now.t ? trace->hidden + (now.place_before + r) * (size_t)units : NULL;
            gru_row(
                units, gates + r * (size_t)across, scratch->of_rows + r * (size_t)across, before,
                trace->recalled + here, trace->hidden + here);
        }
        product(
            outputs, width, trace->hidden + now.place * (size_t)units, units, now.rows, &scratch->second, NULL, 0);
    }
}

/* As `cifg_backward`. */
FUNCTION void gru_backward(
    model_sizes s, const layer_weights *weights, const layer_weights *gradients, layer_trace *trace,
    layer_scratch *scratch, batch b, const float *x, float *d_outputs, float *d_x, float *lent)
{
    const int units = s.units, width = s.width, across = 3 * units;
    packed_from(&trace->back, across, width, weights->recurrent_kernel, across, 1);
    packed_from(&scratch->second, width, units, weights->projection, width, 1);
    size_t at = (size_t)b.tokens;
    for (int t = b.steps - 1; t >= 0; t--) {
        const int rows = b.rows[t], after = t + 1 < b.steps ? b.rows[t + 1] : 0;
        const size_t next = at, before = (at -= (size_t)rows) - (size_t)(t ? b.rows[t - 1] : 0);
        float *d_output = d_outputs + at * (size_t)width;
        product(d_output, width, trace->d_recurrent + next * (size_t)across, across, after, &trace->back, NULL, 1);
        product(scratch->of_rows, units, d_output, width, rows, &scratch->second, NULL, 0);
        for (size_t r = 0; r < (size_t)rows; r++)
            gru_row_back(
                units, trace->gates + (at + r) * (size_t)across, trace->d_recurrent + (at + r) * (size_t)across,
                t ? trace->hidden + (before + r) * (size_t)units : NULL, trace->recalled + (at + r) * (size_t)units,
                scratch->of_rows + r * (size_t)units, scratch->carried + r * (size_t)units, r < (size_t)after);
    }
    product_transposed(
        gradients->projection, width, trace->hidden, units, d_outputs, width, units, width, b.tokens, 0, lent);
    gate_gradients(s, weights, gradients, trace, scratch, b, x, trace->outputs, d_x, lent);
}

#endif
