/* The arithmetic of `lstm`: see client_model/learning/cells/lstm.py. Gates: input i, forget f, output o, candidate g.
 *
 * c = f c' + i g of the cell c' before, h = o tanh(c), which is the next step's recurrent input; output y = h P.
 */
#ifndef TYPEFLEET_LSTM_H
#define TYPEFLEET_LSTM_H

#include "gated.h"

INLINE void lstm_forward(cell_lanes *now)
{
    vec input = vsigmoid(now->gate[0]), forget = vsigmoid(now->gate[1]), output = vsigmoid(now->gate[2]);
    vec candidate = vtanh(now->gate[3]), cell = vmul(input, candidate);
    if (!now->is_first) cell = vfma(forget, now->before, cell); /* at first nothing to forget, were the gate NaN */
    vec tanh_cell = vtanh(cell);
    now->gate[0] = input, now->gate[1] = forget, now->gate[2] = output, now->gate[3] = candidate;
    now->memory = cell, now->saved = tanh_cell, now->hidden = vmul(output, tanh_cell);
}

INLINE void lstm_backward(cell_lanes *now)
{
    vec input = now->gate[0], forget = now->gate[1], output = now->gate[2], candidate = now->gate[3];
    vec tanh_cell = now->saved;
    vec d_cell = vadd(through_tanh(tanh_cell, vmul(now->d_hidden, output)), now->d_memory);
    vec d_forget = now->is_first ? vzero() : vmul(d_cell, now->before);
    now->gate[0] = through_sigmoid(input, vmul(d_cell, candidate));
    now->gate[1] = through_sigmoid(forget, d_forget);
    now->gate[2] = through_sigmoid(output, vmul(now->d_hidden, tanh_cell));
    now->gate[3] = through_tanh(candidate, vmul(d_cell, input));
    now->d_memory = vmul(d_cell, forget);
}

GATED_CELL(lstm, .gates = 4, .hidden_recurs = 1)

#endif
