/* What gated cells share in a step: its rows, and the units of a row, a vector of them at a time.
 *
 * A cell is its arithmetic over one such vector, forward and backward, and its traits; lstm.h is the plainest.
 * All around that is the same for every cell and is in layer.h: steps, products, gradients of the weights. The rows
 * below are compiled for each cell by itself, so that its arithmetic stands in their innermost loop.
 *
 * To add a cell: number it in sizes.h and in available.py, write a file like lstm.h, and name it in kinds.h. Where it
 * has weights that others have not, as peepholes would be, they come into weights.h, and from there into `step_rows`
 * and `cell_lanes`; layer.h then sets their gradients. INTERFACE goes up, in module.c and in available.py.
 *
 * U units, G gates.
 */
#ifndef TYPEFLEET_GATED_H
#define TYPEFLEET_GATED_H

#include "elementary.h"

enum { MOST_GATES = 4 };

/* LANES units of one row in one step: what the arithmetic of a cell is given and what it sets.
 *
 * Forward: given is_first, before, gate and recurrent; sets gate, memory, saved and hidden.
 * Backward: given is_first, before, gate, saved, d_hidden and d_memory; sets gate, recurrent and d_memory.
 */
typedef struct {
    int is_first;              /* whether there is no step before */
    vec before;                /* memory of the step before; zero in the first step */
    vec gate[MOST_GATES];      /* sums that go into the gates, then their values, then the gradients of the sums */
    vec recurrent[MOST_GATES]; /* of a product apart: the product, zero in the first step, then its gradients */
    vec memory;                /* what the step hands on to the next within the cell */
    vec saved;                 /* what else the backward pass wants to see again */
    vec hidden;                /* what the projection reads */
    vec d_hidden;              /* gradient of hidden; not what comes through the memory, even where they are one */
    vec d_memory;              /* gradient of memory from the step after, zero where there is none; then of `before` */
} cell_lanes;

typedef void cell_arithmetic(cell_lanes *);

typedef struct {
    int gates;            /* G, at most MOST_GATES */
    int hidden_recurs;    /* the next step's recurrent input is hidden, of U units, and not the output */
    int product_apart;    /* the recurrent product is not in the sums of the gates, but beside them */
    int memory_is_hidden; /* they are one, and `hidden` alone is set */
} cell_traits;

/* The rows of a step, one after another, each with all its units. */
typedef struct {
    int rows, units;
    int after;                      /* rows, the first ones, that have a step after; for the backward pass */
    float *gates;                   /* [rows, G U] */
    float *recurrent;               /* [rows, G U]: of a product apart, else the gates */
    const float *before;            /* [rows, U]; NULL in the first step */
    float *memory, *saved, *hidden; /* [rows, U] */
    const float *d_hidden;          /* [rows, U] */
    float *d_memory;                /* [rows, U] */
} step_rows;

/* A cell as layer.h uses it. */
typedef struct {
    cell_traits traits;
    void (*forward)(step_rows);
    void (*backward)(step_rows);
} gated_cell;

/* Gradient of x, given y = sigmoid(x) or y = tanh(x), and the gradient of y. */
INLINE vec through_sigmoid(vec y, vec dy) { return vmul(vmul(dy, y), vsub(vall(1.0f), y)); }
INLINE vec through_tanh(vec y, vec dy) { return vmul(dy, vfnma(y, y, vall(1.0f))); }

/* A vector of each gate, `units` apart, of which `left` units are there. */
INLINE void get_gates(vec gate[MOST_GATES], int gates, const float *from, size_t units, int left)
{
#pragma GCC unroll 4
    for (int g = 0; g < gates; g++) gate[g] = vget(from + (size_t)g * units, left);
}
INLINE void put_gates(float *to, const vec gate[MOST_GATES], int gates, size_t units, int left)
{
#pragma GCC unroll 4
    for (int g = 0; g < gates; g++) vput(to + (size_t)g * units, gate[g], left);
}

/* One pass over rows. All arguments but the rows are constants where this is inlined, so that no call or branch on them
 * is left. */
INLINE void pass_over_rows(step_rows r, cell_traits of, int is_backward, cell_arithmetic *arithmetic)
{
    const size_t units = (size_t)r.units, across = (size_t)of.gates * units;
    for (size_t row = 0; row < (size_t)r.rows; row++)
        for (int i = 0; i < r.units; i += LANES) {
            const int left = r.units - i;
            const size_t unit = row * units + (size_t)i, gate = row * across + (size_t)i;
            cell_lanes now = {.is_first = !r.before};
            get_gates(now.gate, of.gates, r.gates + gate, units, left);
            if (r.before) now.before = vget(r.before + unit, left);
            if (is_backward) {
                now.saved = vget(r.saved + unit, left);
                now.d_hidden = vget(r.d_hidden + unit, left);
                if (row < (size_t)r.after) now.d_memory = vget(r.d_memory + unit, left);
            } else if (of.product_apart && r.before)
                get_gates(now.recurrent, of.gates, r.recurrent + gate, units, left);

            arithmetic(&now);

            put_gates(r.gates + gate, now.gate, of.gates, units, left);
            if (is_backward) {
                if (of.product_apart) put_gates(r.recurrent + gate, now.recurrent, of.gates, units, left);
                vput(r.d_memory + unit, now.d_memory, left);
            } else {
                if (!of.memory_is_hidden) vput(r.memory + unit, now.memory, left);
                vput(r.saved + unit, now.saved, left);
                vput(r.hidden + unit, now.hidden, left);
            }
        }
}

/* The cell NAME of the traits given, whose arithmetic is NAME_forward and NAME_backward. */
#define GATED_CELL(NAME, ...)                                                                                          \
    FUNCTION void NAME##_rows_forward(step_rows r)                                                                     \
    {                                                                                                                  \
        pass_over_rows(r, (cell_traits){__VA_ARGS__}, 0, NAME##_forward);                                              \
    }                                                                                                                  \
    FUNCTION void NAME##_rows_backward(step_rows r)                                                                    \
    {                                                                                                                  \
        pass_over_rows(r, (cell_traits){__VA_ARGS__}, 1, NAME##_backward);                                             \
    }                                                                                                                  \
    static const gated_cell NAME = {{__VA_ARGS__}, NAME##_rows_forward, NAME##_rows_backward};

#endif
