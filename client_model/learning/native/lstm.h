/* The passes of `lstm`: see client_model/learning/cells/lstm.py. Gates: input i, forget f, output o, candidate g.
 *
 * c = f c' + i g of the cell c' before, h = o tanh(c), which is the next step's recurrent input; output y = h P.
 */
#ifndef TYPEFLEET_LSTM_H
#define TYPEFLEET_LSTM_H

#include "gated.h"

/* As `cifg_row`. */
INLINE void lstm_row(int units, float *gates, const float *before, float *cell, float *tanh_cell, float *hidden)
{
    float *inputs = gates, *forgets = gates + units, *outputs = gates + 2 * units, *candidates = gates + 3 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec input = vsigmoid(vget(inputs + i, left)), forget = vsigmoid(vget(forgets + i, left));
        vec output = vsigmoid(vget(outputs + i, left)), candidate = vtanh(vget(candidates + i, left));
        vec now = vmul(input, candidate);
        if (before) now = vfma(forget, vget(before + i, left), now);
        vec tanh_now = vtanh(now);
        vput(inputs + i, input, left);
        vput(forgets + i, forget, left);
        vput(outputs + i, output, left);
        vput(candidates + i, candidate, left);
        vput(cell + i, now, left);
        vput(tanh_cell + i, tanh_now, left);
        vput(hidden + i, vmul(output, tanh_now), left);
    }
}

/* As `cifg_row_back`. */
INLINE void lstm_row_back(
    int units, float *gates, const float *before, const float *tanh_cell, const float *d_hidden, float *carried,
    int goes_on)
{
    float *inputs = gates, *forgets = gates + units, *outputs = gates + 2 * units, *candidates = gates + 3 * units;
    for (int i = 0; i < units; i += LANES) {
        const int left = units - i;
        vec input = vget(inputs + i, left), forget = vget(forgets + i, left), output = vget(outputs + i, left);
        vec candidate = vget(candidates + i, left), tanh_now = vget(tanh_cell + i, left);
        vec dh = vget(d_hidden + i, left), d_cell = through_tanh(tanh_now, vmul(dh, output));
        if (goes_on) d_cell = vadd(d_cell, vget(carried + i, left));
        vec d_forget = before ? vmul(d_cell, vget(before + i, left)) : vzero();
        vput(inputs + i, through_sigmoid(input, vmul(d_cell, candidate)), left);
        vput(forgets + i, through_sigmoid(forget, d_forget), left);
        vput(outputs + i, through_sigmoid(output, vmul(dh, tanh_now)), left);
        vput(candidates + i, through_tanh(candidate, vmul(d_cell, input)), left);
        vput(carried + i, vmul(d_cell, forget), left);
    }
}

/* Outputs of all steps, given x [n, D]. */
FUNCTION void lstm_forward(
    model_sizes s, const layer_weights *weights, layer_trace *trace, layer_scratch *scratch, batch b, const float *x)
{
    const int units = s.units, width = s.width, across = 4 * units;
    packed_from(&scratch->other, width, across, weights->input_kernel, across, 0);
    packed_from(&trace->kernel, units, across, weights->recurrent_kernel, across, 0);
    packed_from(&scratch->second, units, width, weights->projection, width, 0);
    for (step now = first_step(b); now.t < b.steps; now = step_after(now, b, trace)) {
        float *gates = trace->gates + now.place * (size_t)across;
        float *outputs = trace->outputs + now.token * (size_t)width;
        input_sums(s, weights, trace, scratch, b, now, x);
        const float *recurrent = trace->hidden + now.place_before * (size_t)units;
        if (now.t) product(gates, across, recurrent, units, now.rows, &trace->kernel, NULL, 1);
        for (size_t r = 0; r < (size_t)now.rows; r++) {
            const size_t here = (now.place + r) * (size_t)units;
            const float *before = now.t ? trace->cell + (now.place_before + r) * (size_t)units : NULL;
            lstm_row(
                units, gates + r * (size_t)across, before, trace->cell + here, trace->tanh_cell + here,
                trace->hidden + here);
        }
        product(
            outputs, width, trace->hidden + now.place * (size_t)units, units, now.rows, &scratch->second, NULL, 0);
    }
}

/* Gradients of x [n, D] and of the weights, given that of the outputs [n, D]. */
FUNCTION void lstm_backward(
    model_sizes s, const layer_weights *weights, const layer_weights *gradients, layer_trace *trace,
    layer_scratch *scratch, batch b, const float *x, const float *d_outputs, float *d_x, float *lent)
{
    const int units = s.units, width = s.width, across = 4 * units;
    packed_from(&trace->back, across, units, weights->recurrent_kernel, across, 1);
    packed_from(&scratch->second, width, units, weights->projection, width, 1);
    size_t at = (size_t)b.tokens;
    for (int t = b.steps - 1; t >= 0; t--) {
        const int rows = b.rows[t], after = t + 1 < b.steps ? b.rows[t + 1] : 0;
        const size_t next = at, before = (at -= (size_t)rows) - (size_t)(t ? b.rows[t - 1] : 0);
        const float *d_output = d_outputs + at * (size_t)width;
        product(scratch->of_rows, units, d_output, width, rows, &scratch->second, NULL, 0);
        product(scratch->of_rows, units, trace->gates + next * (size_t)across, across, after, &trace->back, NULL, 1);
        for (size_t r = 0; r < (size_t)rows; r++)
            lstm_row_back(
                units, trace->gates + (at + r) * (size_t)across,
                t ? trace->cell + (before + r) * (size_t)units : NULL, trace->tanh_cell + (at + r) * (size_t)units,
                scratch->of_rows + r * (size_t)units, scratch->carried + r * (size_t)units, r < (size_t)after);
    }
    product_transposed(
        gradients->projection, width, trace->hidden, units, d_outputs, width, units, width, b.tokens, 0, lent);
    gate_gradients(s, weights, gradients, trace, scratch, b, x, trace->hidden, d_x, lent);
}

#endif
