/* The arithmetic of `cifg`: see client_model/learning/cells/cifg.py. Gates: forget f, output o, candidate g.
 *
 * c = g + f (c' - g) of the cell c' before, h = o tanh(c), output y = h P, which is the next step's recurrent input.
 */
#ifndef TYPEFLEET_CIFG_H
#define TYPEFLEET_CIFG_H

#include "gated.h"

INLINE void cifg_forward(cell_lanes *now)
{
    vec forget = vsigmoid(now->gate[0]), output = vsigmoid(now->gate[1]), candidate = vtanh(now->gate[2]);
    vec cell = vfma(forget, vsub(now->before, candidate), candidate), tanh_cell = vtanh(cell);
    now->gate[0] = forget, now->gate[1] = output, now->gate[2] = candidate;
    now->memory = cell, now->saved = tanh_cell, now->hidden = vmul(output, tanh_cell);
}

INLINE void cifg_backward(cell_lanes *now)
{
    vec forget = now->gate[0], output = now->gate[1], candidate = now->gate[2], tanh_cell = now->saved;
    vec kept = vsub(now->before, candidate);
    vec d_cell = vadd(through_tanh(tanh_cell, vmul(now->d_hidden, output)), now->d_memory);
    vec d_kept = vmul(d_cell, forget);
    now->gate[0] = through_sigmoid(forget, vmul(d_cell, kept));
    now->gate[1] = through_sigmoid(output, vmul(now->d_hidden, tanh_cell));
    now->gate[2] = through_tanh(candidate, vsub(d_cell, d_kept));
    now->d_memory = d_kept;
}

GATED_CELL(cifg, .gates = 3)

#endif
