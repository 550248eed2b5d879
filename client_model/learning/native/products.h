/* Matrix products of row-major float32 matrices, for a few rows to thousands, on one thread.
 *
 * The order of every sum is fixed: blocks of SUM_BLOCK terms, each summed from zero in the order of its terms (tiles.h), and
 * these sums added in their order to what the result starts from. So the bits of a number depend on its row of a, its
 * column of b and what it starts from alone: neither on the instruction set, nor on the other rows and columns.
 */
#ifndef TYPEFLEET_PRODUCTS_H
#define TYPEFLEET_PRODUCTS_H

#include "tiles.h"

enum {
    SUM_BLOCK = 192,      /* 36 kB of a panel of AVX-512, which has to stay in a first cache of 48 kB */
    ROWS_TOGETHER = 256,  /* rows of a that stay in the second cache while all panels pass */
};

static inline int min_int(int a, int b) { return a < b ? a : b; }
static inline size_t rounded_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* B [k, n] in panels of PANEL columns, one after another, each [k, PANEL]; what is beyond column n is zero. */
typedef struct {
    int k, n;
    float *panels; /* packed_floats(k, n) of them, the caller's */
} packed_matrix;

INLINE size_t packed_floats(int k, int n) { return (size_t)k * rounded_up((size_t)n, PANEL); }

/* The part of a row that a panel has; `columns` of it are there. */
INLINE void copy_panel_row(float *to, const float *from, int columns)
{
    if (columns == PANEL) {
        for (int j = 0; j < PANEL; j += LANES) vstore(to + j, vload(from + j));
        return;
    }
    memcpy(to, from, sizeof(float) * (size_t)columns);
    memset(to + columns, 0, sizeof(float) * (size_t)(PANEL - columns));
}

/* to = b [k, n], or b' of b [n, k] if transposed; to->k and to->n are set, and its panels filled. */
FUNCTION void pack(packed_matrix *to, const float *b, ptrdiff_t ldb, int transposed)
{
    for (int j = 0; j < to->n; j += PANEL) {
        const int columns = min_int(PANEL, to->n - j);
        float *panel = to->panels + (size_t)to->k * (size_t)j;
        if (!transposed) {
            for (int k = 0; k < to->k; k++) copy_panel_row(panel + (size_t)k * PANEL, b + k * ldb + j, columns);
            continue;
        }
        for (int k = 0; k < to->k; k++)
            for (int column = 0; column < PANEL; column++)
                panel[(size_t)k * PANEL + (size_t)column] = column < columns ? b[(j + column) * ldb + k] : 0.0f;
    }
}

INLINE void clear_rows(float *c, ptrdiff_t ldc, int m, int n)
{
    for (int i = 0; i < m; i++, c += ldc) memset(c, 0, sizeof(float) * (size_t)n);
}

/* c [m, n] += bias [n], or is it; gives 1: there is something to add to. */
INLINE int start_from_bias(float *c, ptrdiff_t ldc, int m, int n, const float *bias, int add)
{
    for (int i = 0; i < m; i++, c += ldc)
        for (int j = 0; j < n; j++) c[j] = add ? c[j] + bias[j] : bias[j];
    return 1;
}

/* c [m, n] = (add ? c : 0) + bias [n] (NULL: none) + a [m, k] B; any m, also 0. */
FUNCTION void product(float *c, ptrdiff_t ldc, const float *a, ptrdiff_t lda, int m, const packed_matrix *b,
                      const float *bias, int add)
{
    const int has_start = bias ? start_from_bias(c, ldc, m, b->n, bias, add) : add;
    if (!b->k && !has_start) clear_rows(c, ldc, m, b->n);
    for (int i = 0; i < m; i += ROWS_TOGETHER) {
        for (int j = 0; j < b->n; j += PANEL) {
            for (int k = 0; k < b->k; k += SUM_BLOCK) {
                const tile t = {
                    .a = a + i * lda + k,
                    .a_row = lda,
                    .a_step = 1,
                    .b = b->panels + (size_t)b->k * (size_t)j + (size_t)k * PANEL,
                    .b_step = PANEL,
                    .c = c + i * ldc + j,
                    .c_row = ldc,
                    .k = min_int(SUM_BLOCK, b->k - k),
                    .columns = min_int(PANEL, b->n - j),
                    .add = has_start || k,
                };
                tile_column(t, min_int(ROWS_TOGETHER, m - i));
            }
        }
    }
}

/* Floats that the caller lends for the time of a call. */
typedef struct workspace {
    float *floats;
    size_t count;
} workspace;

INLINE size_t product_transposed_floats(void) { return (size_t)SUM_BLOCK * PANEL; }

/* c [m, n] = (add ? c : 0) + a' b of a [rows, m] and b [rows, n]: the gradient of a weight [m, n].
 *
 * w: product_transposed_floats() of them. Without rows, c is zero or stays as it is.
 */
FUNCTION void product_transposed(float *c, ptrdiff_t ldc, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, int m,
                                 int n, int rows, int add, workspace *w)
{
    if (!rows && !add) clear_rows(c, ldc, m, n);
    for (int r = 0; r < rows; r += SUM_BLOCK) {
        const int terms = min_int(SUM_BLOCK, rows - r);
        for (int j = 0; j < n; j += PANEL) {
            const int columns = min_int(PANEL, n - j);
            for (int k = 0; k < terms; k++) copy_panel_row(w->floats + k * PANEL, b + (r + k) * ldb + j, columns);
            const tile t = {
                .a = a + r * lda,
                .a_row = 1,
                .a_step = lda,
                .b = w->floats,
                .b_step = PANEL,
                .c = c + j,
                .c_row = ldc,
                .k = terms,
                .columns = columns,
                .add = add || r,
            };
            tile_column(t, m);
        }
    }
}

#endif
