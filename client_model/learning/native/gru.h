/* The arithmetic of `gru`: see client_model/learning/cells/gru.py. Gates: update z, reset r, candidate g.
 *
 * h = g + z (h' - g) of the memory h' before, where the reset gate acts on the recurrent product: g = tanh(sum + r q).
 * Output y = h P, which is the next step's recurrent input.
 */
#ifndef TYPEFLEET_GRU_H
#define TYPEFLEET_GRU_H

#include "gated.h"

INLINE void gru_forward(cell_lanes *now)
{
    vec update = vsigmoid(vadd(now->gate[0], now->recurrent[0]));
    vec reset = vsigmoid(vadd(now->gate[1], now->recurrent[1]));
    vec recalled = now->recurrent[2], candidate = vtanh(vfma(reset, recalled, now->gate[2]));
    now->gate[0] = update, now->gate[1] = reset, now->gate[2] = candidate;
    now->saved = recalled, now->hidden = vfma(update, vsub(now->before, candidate), candidate);
}

INLINE void gru_backward(cell_lanes *now)
{
    vec update = now->gate[0], reset = now->gate[1], candidate = now->gate[2], recalled = now->saved;
    vec kept = vsub(now->before, candidate), d_hidden = vadd(now->d_hidden, now->d_memory);
    vec d_kept = vmul(d_hidden, update);
    vec d_candidate = through_tanh(candidate, vsub(d_hidden, d_kept));
    now->gate[0] = now->recurrent[0] = through_sigmoid(update, vmul(d_hidden, kept));
    now->gate[1] = now->recurrent[1] = through_sigmoid(reset, vmul(d_candidate, recalled));
    now->gate[2] = d_candidate, now->recurrent[2] = vmul(d_candidate, reset);
    now->d_memory = d_kept;
}

GATED_CELL(gru, .gates = 3, .product_apart = 1, .memory_is_hidden = 1)

#endif
