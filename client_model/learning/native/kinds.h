/* The cells that the kernel has. */
#ifndef TYPEFLEET_KINDS_H
#define TYPEFLEET_KINDS_H

#include "cifg.h"
#include "gru.h"
#include "lstm.h"
#include "sizes.h"

static const gated_cell *const KINDS[CELL_KINDS] = {[CIFG] = &cifg, [GRU] = &gru, [LSTM] = &lstm};

INLINE const gated_cell *cell_of(model_sizes s) { return KINDS[s.cell]; }
INLINE int gates_of(model_sizes s) { return cell_of(s)->traits.gates; }
INLINE int recurrent_width(model_sizes s) { return cell_of(s)->traits.hidden_recurs ? s.units : s.width; }

#endif
