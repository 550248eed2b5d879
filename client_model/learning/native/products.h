/* Matrix products of row-major float32 matrices, for a few rows to thousands, on one thread.
 *
 * The order of every sum is fixed: blocks of SUM_BLOCK terms, each summed from zero in the order of its terms
 * (tiles.h), and these sums added in their order to what the result starts from. So the bits of a number depend on its
 * row of a, its column of b and what it starts from alone: neither on the instruction set, nor on the other rows and
 * columns.
 */
#ifndef TYPEFLEET_PRODUCTS_H
#define TYPEFLEET_PRODUCTS_H

#include "tiles.h"

enum {
    SUM_BLOCK = 384, /* terms: of a panel 72 kB by AVX-512, read from the second cache, and 24 by AVX2, from the first;
                        fewer cost more passes over c */
    ROWS_TOGETHER = 256, /* rows of a that stay in the second cache while all panels pass */
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

/* to [k, PANEL] = b' of b [columns, k]; what is beyond is zero. */
INLINE void transpose_panel(float *to, const float *b, ptrdiff_t ldb, int k, int columns)
{
    const int whole_k = k / 4 * 4, whole_columns = columns / 4 * 4;
    for (int i = 0; i < whole_k; i += 4)
        for (int j = 0; j < whole_columns; j += 4)
            transpose_4x4(to + (ptrdiff_t)i * PANEL + j, PANEL, b + j * ldb + i, ldb);
    for (int i = 0; i < k; i++) {
        float *row = to + (ptrdiff_t)i * PANEL;
        for (int j = i < whole_k ? whole_columns : 0; j < columns; j++) row[j] = b[j * ldb + i];
        for (int j = columns; j < PANEL; j++) row[j] = 0.0f;
    }
}

/* to = b [k, n], or b' of b [n, k] if transposed; to->k and to->n are set, and its panels filled. */
FUNCTION void pack(packed_matrix *to, const float *b, ptrdiff_t ldb, int transposed)
{
    for (int j = 0; j < to->n; j += PANEL) {
        const int columns = min_int(PANEL, to->n - j);
        float *panel = to->panels + (size_t)to->k * (size_t)j;
        if (transposed)
            transpose_panel(panel, b + j * ldb, ldb, to->k, columns);
        else
            for (int k = 0; k < to->k; k++) copy_panel_row(panel + (size_t)k * PANEL, b + k * ldb + j, columns);
    }
}

/* Where b[k, j] is. */
INLINE float *packed_number(const packed_matrix *b, int k, int j)
{
    return b->panels + (size_t)b->k * (size_t)(j - j % PANEL) + (size_t)k * PANEL + j % PANEL;
}

INLINE void clear_rows(float *c, ptrdiff_t ldc, int m, int n)
{
    for (int i = 0; i < m; i++, c += ldc) memset(c, 0, sizeof(float) * (size_t)n);
}

INLINE void add_to_rows(float *c, ptrdiff_t ldc, int m, int n, const float *bias)
{
    for (int i = 0; i < m; i++, c += ldc)
        for (int j = 0; j < n; j++) c[j] += bias[j];
}

/* c [m, n] = (add ? c : 0) + bias [n] (NULL: none) + a [m, k] B; any m, also 0. */
FUNCTION void product(float *c, ptrdiff_t ldc, const float *a, ptrdiff_t lda, int m, const packed_matrix *b,
                      const float *bias, int add)
{
    if (!b->k && !add) clear_rows(c, ldc, m, b->n);
    if (bias && (add || !b->k)) add_to_rows(c, ldc, m, b->n, bias);
    for (int i = 0; i < m; i += ROWS_TOGETHER) {
        for (int j = 0; j < b->n; j += PANEL) {
            for (int k = 0; k < b->k; k += SUM_BLOCK) {
                float *to = c + i * ldc + j;
                const float *start = bias ? bias + j : NULL;
                const int terms = min_int(SUM_BLOCK, b->k - k), is_first = !k && !add;
                const int is_last = k + terms == b->k && j + PANEL >= b->n;
                const float *panel = b->panels + (size_t)b->k * (size_t)j + (size_t)k * PANEL;
                const tile t = {
                    .a = a + i * lda + k,
                    .a_row = lda,
                    .a_step = 1,
                    .b = panel,
                    .b_step = PANEL,
                    .c = to,
                    .c_row = ldc,
                    .start = is_first ? start : to,
                    .start_row = is_first ? 0 : ldc,
                    .ahead = is_last ? b->panels : panel + (ptrdiff_t)terms * PANEL, /* a step's product repeats soon */
                    .k = terms,
                    .columns = min_int(PANEL, b->n - j),
                };
                tile_column(t, min_int(ROWS_TOGETHER, m - i), 0);
            }
        }
    }
}

enum { GRADIENT_ROWS = GRADIENTS_PACKED ? 192 : 0 }; /* of c, whose part of a stays packed in the second cache */

INLINE size_t product_transposed_floats(void) { return (size_t)SUM_BLOCK * (PANEL + GRADIENT_ROWS); }

/* a' of a [terms, m] in tiles of TILE_ROWS, each [terms, TILE_ROWS], one after another. */
INLINE void pack_transposed(float *to, const float *a, ptrdiff_t lda, int m, int terms)
{
    for (int k = 0; k < terms; k++, a += lda) {
        float *row = to + k * TILE_ROWS;
        int i = 0;
        for (; i + TILE_ROWS <= m; i += TILE_ROWS, row += terms * TILE_ROWS)
            memcpy(row, a + i, sizeof(float) * TILE_ROWS);
        memcpy(row, a + i, sizeof(float) * (size_t)(m - i));
    }
}

/* c [m, n] = (add ? c : 0) + a' b of a [rows, m] and b [rows, n]: the gradient of a weight [m, n].
 *
 * lent: product_transposed_floats() of them. Without rows, c is zero or stays as it is.
 */
FUNCTION void product_transposed(float *c, ptrdiff_t ldc, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb,
                                 int m, int n, int rows, int add, float *lent)
{
    const int together = GRADIENTS_PACKED ? GRADIENT_ROWS : m;
    float *packed = lent + SUM_BLOCK * PANEL;
    if (!rows && !add) clear_rows(c, ldc, m, n);
    for (int r = 0; r < rows; r += SUM_BLOCK) {
        const int terms = min_int(SUM_BLOCK, rows - r);
        for (int i = 0; i < m; i += together) {
            const int of_c = min_int(together, m - i);
            const float *of_a = a + r * lda + i;
            if (GRADIENTS_PACKED) pack_transposed(packed, of_a, lda, of_c, terms);
            for (int j = 0; j < n; j += PANEL) {
                const int columns = min_int(PANEL, n - j);
                const int is_copied = GRADIENTS_PACKED || columns < PANEL; /* not to read beyond the end of b */
                for (int k = 0; k < terms && is_copied; k++)
                    copy_panel_row(lent + k * PANEL, b + (r + k) * ldb + j, columns);
                float *to = c + i * ldc + j;
                const tile t = {
                    .a = GRADIENTS_PACKED ? packed : of_a,
                    .a_row = 1,
                    .a_step = GRADIENTS_PACKED ? TILE_ROWS : lda,
                    .b = is_copied ? lent : b + r * ldb + j,
                    .b_step = is_copied ? PANEL : ldb,
                    .c = to,
                    .c_row = ldc,
                    .start = add || r ? to : NULL,
                    .start_row = ldc,
                    .k = terms,
                    .columns = columns,
                };
                tile_column(t, of_c, GRADIENTS_PACKED ? TILE_ROWS * terms : 0);
            }
        }
    }
}

#endif
