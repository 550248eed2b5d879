/* The passes of `cifg`: see client_model/learning/cells/cifg.py. Gates: forget f, output o, candidate g.
 *
 * c = g + f (c' - g) of the cell c' before, h = o tanh(c), output y = h P, which is the next step's recurrent input.
 */
#ifndef TYPEFLEET_CIFG_H
#define TYPEFLEET_CIFG_H

#include "gated.h"

/* Of one row of a step: gates [3 U] from sums to values, cell, tanh_cell and hidden [U]; `before` NULL: it is zero. */
INLINE void cifg_row(int units, float *gates, const float *before, float *cell, float *tanh_cell, float *hidden)
{
    float *forgets = gates, *outputs = gates + units, *candidates = gates + 2 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec forget = vsigmoid(vget(forgets + i, left)), output = vsigmoid(vget(outputs + i, left));
        vec candidate = vtanh(vget(candidates + i, left));
        vec kept = vsub(before ? vget(before + i, left) : vzero(), candidate);
        vec now = vfma(forget, kept, candidate), tanh_now = vtanh(now);
        vput(forgets + i, forget, left);
        vput(outputs + i, output, left);
        vput(candidates + i, candidate, left);
        vput(cell + i, now, left);
        vput(tanh_cell + i, tanh_now, left);
        vput(hidden + i, vmul(output, tanh_now), left);
    }
}

/* Gates [3 U] from values to the gradients of their sums, given that of hidden [U].
 *
 * carried [U]: gradient of the cell from the step after, which is replaced by what goes to the step before; `goes_on`
 * says whether there is a step after.
 */
INLINE void cifg_row_back(
    int units, float *gates, const float *before, const float *tanh_cell, const float *d_hidden, float *carried,
    int goes_on)
{
    float *forgets = gates, *outputs = gates + units, *candidates = gates + 2 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec forget = vget(forgets + i, left), output = vget(outputs + i, left);
        vec candidate = vget(candidates + i, left), tanh_now = vget(tanh_cell + i, left);
        vec kept = vsub(before ? vget(before + i, left) : vzero(), candidate), dh = vget(d_hidden + i, left);
        vec d_cell = through_tanh(tanh_now, vmul(dh, output));
        if (goes_on) d_cell = vadd(d_cell, vget(carried + i, left));
        vec d_kept = vmul(d_cell, forget);
        vput(forgets + i, through_sigmoid(forget, vmul(d_cell, kept)), left);
        vput(outputs + i, through_sigmoid(output, vmul(dh, tanh_now)), left);
        vput(candidates + i, through_tanh(candidate, vsub(d_cell, d_kept)), left);
        vput(carried + i, d_kept, left);
    }
}

/* Outputs of all steps, given x [n, D]. */
FUNCTION void cifg_forward(
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
        if (now.t) product(gates, across, recurrent, width, now.rows, &trace->kernel, NULL, 1);
        for (size_t r = 0; r < (size_t)now.rows; r++) {
            const size_t here = (now.place + r) * (size_t)units;
            const float *before = now.t ? trace->cell + (now.place_before + r) * (size_t)units : NULL;
            cifg_row(
                units, gates + r * (size_t)across, before, trace->cell + here, trace->tanh_cell + here,
                trace->hidden + here);
        }
        product(
            outputs, width, trace->hidden + now.place * (size_t)units, units, now.rows, &scratch->second, NULL, 0);
    }
}

/* Gradients of x [n, D] and of the weights; d_outputs [n, D] becomes that of what the recurrence reads, too. */
FUNCTION void cifg_backward(
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
        product(d_output, width, trace->gates + next * (size_t)across, across, after, &trace->back, NULL, 1);
        product(scratch->of_rows, units, d_output, width, rows, &scratch->second, NULL, 0);
        for (size_t r = 0; r < (size_t)rows; r++)
            cifg_row_back(
                units, trace->gates + (at + r) * (size_t)across,
                t ? trace->cell + (before + r) * (size_t)units : NULL, trace->tanh_cell + (at + r) * (size_t)units,
                scratch->of_rows + r * (size_t)units, scratch->carried + r * (size_t)units, r < (size_t)after);
    }
    product_transposed(
        gradients->projection, width, trace->hidden, units, d_outputs, width, units, width, b.tokens, 0, lent);
    gate_gradients(s, weights, gradients, trace, scratch, b, x, trace->outputs, d_x, lent);
}

#endif
