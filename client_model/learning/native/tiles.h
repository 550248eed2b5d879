/* The innermost loop of every matrix product: a tile of sums that stays in registers.
 *
 * A tile is c [rows, columns] of at most TILE_ROWS x PANEL numbers. Each is the sum over k of a[i, k] b[k, j], from
 * zero, in the order of k, one fused multiply-add a term; then what it starts from, if anything, is added: c itself,
 * or a bias. So a number's bits do not depend on the size of the tile that it is computed in, or on its neighbours.
 *
 * The sums are independent of each other, and there are enough of them (24 vectors of AVX-512, 12 of AVX2) to keep two
 * units of four cycles' latency busy; b is read once for TILE_ROWS rows, 16 bytes a cycle, as the second cache gives.
 * This is the scheme of Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", ACM
 * Transactions on Mathematical Software 34(3), with a read where it lies.
 */
#ifndef TYPEFLEET_TILES_H
#define TYPEFLEET_TILES_H

#include "lanes.h"

typedef struct {
    const float *a; /* a[i, k] at a[i * a_row + k * a_step] */
    ptrdiff_t a_row, a_step;
    const float *b; /* b[k, j] at b[k * b_step + j], readable up to a multiple of LANES columns */
    ptrdiff_t b_step;
    float *c; /* c[i, j] at c[i * c_row + j] */
    ptrdiff_t c_row;
    const float *start; /* added to c[i, j]: start[i * start_row + j]; NULL: nothing */
    ptrdiff_t start_row;
    const float *ahead; /* b of the next column of tiles, to be fetched to the second cache; NULL: it is there */
    ptrdiff_t ahead_step;
    int k;       /* terms of a sum */
    int columns; /* of c, at most PANEL; the last vector may be a part of one */
} tile;

enum { AHEAD = PANEL / 2 }; /* floats fetched ahead for each term, so that two tiles fetch all */
enum { LINE = 16 };         /* floats of a cache line */

/* Sums of `rows` x `vectors`, which are constants where this is inlined, so that all loops but that over k vanish. */
INLINE void tile_sums(const tile *t, int rows, int vectors, vec sums[TILE_ROWS][TILE_VECTORS])
{
    const float *a = t->a, *b = t->b, *ahead = t->ahead;
    const ptrdiff_t a_row = t->a_row, a_step = t->a_step, b_step = t->b_step, ahead_step = t->ahead_step;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) sums[i][j] = vzero();
    for (int k = t->k; k > 0; k--, a += a_step, b += b_step, ahead += ahead_step) {
        for (int line = 0; line < AHEAD && vectors == TILE_VECTORS; line += LINE)
            __builtin_prefetch(ahead + line, 0, 2);
        vec row[TILE_VECTORS];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) row[j] = vload(b + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vec factor = vall(a[i * a_row]);
#pragma GCC unroll 8
            for (int j = 0; j < vectors; j++) sums[i][j] = vfma(factor, row[j], sums[i][j]);
        }
    }
}

/* Add what the sums start from. */
INLINE void tile_start(const tile *t, int rows, int vectors, vec sums[TILE_ROWS][TILE_VECTORS])
{
    const int last = vectors - 1, rest = t->columns - last * LANES; /* columns of the last vector */
    const float *start = t->start;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++, start += t->start_row) {
#pragma GCC unroll 8
        for (int j = 0; j < last; j++) sums[i][j] = vadd(vload(start + j * LANES), sums[i][j]);
        const float *end = start + last * LANES;
        sums[i][last] = vadd(rest == LANES ? vload(end) : vload_some(end, rest), sums[i][last]);
    }
}

INLINE void tile_store(const tile *t, int rows, int vectors, vec sums[TILE_ROWS][TILE_VECTORS])
{
    const int last = vectors - 1, rest = t->columns - last * LANES;
    const ptrdiff_t c_row = t->c_row;
    float *c = t->c;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++, c += c_row) {
#pragma GCC unroll 8
        for (int j = 0; j < last; j++) vstore(c + j * LANES, sums[i][j]);
        if (rest == LANES)
            vstore(c + last * LANES, sums[i][last]);
        else
            vstore_some(c + last * LANES, sums[i][last], rest);
    }
}

#define TILE_FUNCTION(ROWS, VECTORS)                                                                                   \
    FUNCTION void tile_##ROWS##x##VECTORS(const tile *t)                                                               \
    {                                                                                                                  \
        vec sums[TILE_ROWS][TILE_VECTORS];                                                                             \
        tile_sums(t, ROWS, VECTORS, sums);                                                                             \
        if (t->start) tile_start(t, ROWS, VECTORS, sums);                                                              \
        tile_store(t, ROWS, VECTORS, sums);                                                                            \
    }
#if defined(VARIANT_PORTABLE) || defined(VARIANT_AVX2)
#define TILE_FUNCTIONS(ROWS) TILE_FUNCTION(ROWS, 1) TILE_FUNCTION(ROWS, 2)
#define TILE_POINTERS(ROWS) {tile_##ROWS##x1, tile_##ROWS##x2}
#else
#define TILE_FUNCTIONS(ROWS) TILE_FUNCTION(ROWS, 1) TILE_FUNCTION(ROWS, 2) TILE_FUNCTION(ROWS, 3)
#define TILE_POINTERS(ROWS) {tile_##ROWS##x1, tile_##ROWS##x2, tile_##ROWS##x3}
#endif

TILE_FUNCTIONS(1)
TILE_FUNCTIONS(2)
TILE_FUNCTIONS(3)
TILE_FUNCTIONS(4)
TILE_FUNCTIONS(5)
TILE_FUNCTIONS(6)
#if !defined(VARIANT_AVX2)
TILE_FUNCTIONS(7)
TILE_FUNCTIONS(8)
#endif

static void (*const tile_functions[TILE_ROWS][TILE_VECTORS])(const tile *) = {
    TILE_POINTERS(1), TILE_POINTERS(2), TILE_POINTERS(3), TILE_POINTERS(4), TILE_POINTERS(5), TILE_POINTERS(6),
#if !defined(VARIANT_AVX2)
    TILE_POINTERS(7), TILE_POINTERS(8),
#endif
};

/* All tiles of c [m, columns]; `t` describes the first of them.
 *
 * a_next: floats from one tile's part of a to the next one's, where a is packed, TILE_ROWS rows a tile; 0 where it is
 * read where it lies. Then tiles are of as equal rows as may be: one of few sums would wait for itself.
 */
INLINE void tile_column(tile t, int m, ptrdiff_t a_next)
{
    const int vectors = (t.columns + LANES - 1) / LANES, tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
    const int is_fetching = t.ahead && tiles > 1; /* a single tile is done before anything comes from further away */
    if (!is_fetching) t.ahead = t.b;
    for (int i = 0, rows; i < tiles; i++, m -= rows) {
        rows = a_next ? (m < TILE_ROWS ? m : TILE_ROWS) : (m + tiles - i - 1) / (tiles - i);
        t.ahead_step = is_fetching && i < PANEL / AHEAD ? AHEAD : 0;
        tile_functions[rows - 1][vectors - 1](&t);
        t.ahead += t.k * t.ahead_step;
        t.a += a_next ? a_next : rows * t.a_row;
        t.c += rows * t.c_row;
        if (t.start) t.start += rows * t.start_row;
    }
}

#endif
