/* How well a model predicts tokens: loss, rank and keystrokes of each, from a few rows of logits that stay in the
 * cache.
 *
 * Ranks and keystrokes are exactly those of client_model.metrics.keystrokes over the same logits: ties, tokens that
 * are no words, and numbers that are none included. The loss is log(sum over words of exp(logit - the target's
 * logit)), in sixteen lanes; only of a target less likely than 1e-30 does it come from a log-sum-exp in float64, since
 * float32 would overflow.
 */
#ifndef TYPEFLEET_SCORING_H
#define TYPEFLEET_SCORING_H

#include "elementary.h"
#include "products.h"
#include "variant.h"

enum {
    SCORED_ROWS = 2 * TILE_ROWS, /* whose logits are there at a time: of 10,000 words 640 kB, in a second cache of 1 MB;
                                    by AVX2 480 kB, in one of 512 */
    SUGGESTIONS = 3,  /* shown at once */
};
static const float RARE = 1e30f; /* 1 / probability */

/* Logits of a row, padded with -inf to a multiple of WIDE. */
INLINE size_t logit_stride(int words) { return rounded_up((size_t)words, WIDE); }

/* Floats that the functions below need: the embedding packed for its product, and some rows of logits. */
FUNCTION size_t scoring_floats(int words, int width)
{
    return rounded_up(packed_floats(width, words), WIDE) + SCORED_ROWS * logit_stride(words);
}

/* E' [D, V], packed at the beginning of `floats`, where it stays for all calls of `score_outputs`. */
FUNCTION void prepare_scoring(const output_layer *layer, float *floats)
{
    packed_matrix readout = {.k = layer->width, .n = layer->words, .panels = floats};
    pack(&readout, layer->embedding, layer->width, 1);
}

INLINE float *padded_rows(float *rows, int words)
{
    const size_t stride = logit_stride(words);
    for (int i = 0; i < SCORED_ROWS; i++)
        for (size_t v = (size_t)words; v < stride; v++) rows[(size_t)i * stride + v] = -INFINITY;
    return rows;
}

/* Cross-entropy in nats from logits [V]; of a target that is too unlikely for float32. */
FUNCTION float exact_loss(const float *logits, int words, int target)
{
    double highest = -INFINITY, sum = 0.0;
    for (int v = 0; v < words; v++) highest = logits[v] > highest ? logits[v] : highest;
    for (int v = 0; v < words; v++) sum += exp((double)logits[v] - highest);
    return (float)(log(sum) + highest - (double)logits[target]);
}

/* What one pass over a row of logits gives. */
typedef struct {
    float exponentials; /* sum of exp(logit - own) */
    int above, equal;   /* logits greater than the target's own, and as great, itself among them; of all tokens */
} row_sums;

INLINE row_sums sums_of_row(const float *logits, int words, float of_target)
{
    const vec own = vall(of_target);
    wide exponentials, above, equal; /* counts are exact in float32, since a lane has far fewer than 2^24 */
    for (int p = 0; p < WIDE_VECTORS; p++) exponentials.part[p] = above.part[p] = equal.part[p] = vzero();
    for (int v = 0; v < words; v += WIDE)
        for (int p = 0; p < WIDE_VECTORS; p++) {
            const vec z = vload(logits + v + p * LANES);
            exponentials.part[p] = vadd(exponentials.part[p], vexp(vsub(z, own)));
            above.part[p] = vcount_greater(above.part[p], z, own);
            equal.part[p] = vcount_equal(equal.part[p], z, own);
        }
    return (row_sums){wide_sum(&exponentials), (int)wide_sum(&above), (int)wide_sum(&equal)};
}

/* Words above the target: those with a greater logit, and with the same one and a lower id. */
INLINE int64_t rank_of(const float *logits, int target, int first_word, row_sums sums)
{
    const float own = logits[target];
    for (int v = 0; v < first_word; v++) {
        sums.above -= logits[v] > own;
        sums.equal -= logits[v] == own;
    }
    if (sums.equal > (target >= first_word)) /* equal to another word: rare */
        for (int v = first_word; v < target; v++) sums.above += logits[v] == own;
    return sums.above;
}

/* Whether fewer words than there are suggestions are above the target, of those at these places of the alphabet. */
INLINE int is_shown(const float *logits, int target, const int *ids, int64_t count)
{
    const float own = logits[target];
    int above = 0;
    for (int64_t i = 0; i < count && above < SUGGESTIONS; i++) {
        const float other = logits[ids[i]];
        above += other > own || (other == own && ids[i] < target);
    }
    return above < SUGGESTIONS;
}

/* Letters to type until the word is shown, or all of them, and one keystroke more; 0 for what is no word. */
INLINE int64_t keystrokes_of(const keystroke_words *table, const float *logits, int target, int64_t rank)
{
    if (target < table->first_word) return 0;
    if (rank < SUGGESTIONS) return 1; /* among the next-word suggestions */
    const int64_t *first = table->first + (ptrdiff_t)target * table->depth,
                  *last = table->last + (ptrdiff_t)target * table->depth;
    const int letters = table->letters[target];
    for (int typed = 1; typed < letters; typed++)
        if (is_shown(logits, target, table->alphabetical + first[typed - 1], last[typed - 1] - first[typed - 1]))
            return typed + 1;
    return letters + 1;
}

/* Score token i, of padded logits [V]. */
INLINE void score_row(const float *logits, int words, int target, const keystroke_words *table,
                      const token_scores *scores, ptrdiff_t i)
{
    const row_sums sums = sums_of_row(logits, words, logits[target]);
    scores->loss[i] =
        sums.exponentials < RARE ? (float)log((double)sums.exponentials) : exact_loss(logits, words, target);
    if (!scores->rank) return;
    scores->rank[i] = rank_of(logits, target, table->first_word, sums);
    scores->keystrokes[i] = keystrokes_of(table, logits, target, scores->rank[i]);
}

/* Score n tokens: outputs [n, D] of the cell, targets [n] in [0, V); after `prepare_scoring` of the same floats. */
FUNCTION void score_outputs(const output_layer *layer, const float *outputs, const int *targets, int n,
                            const keystroke_words *table, const token_scores *scores, float *floats)
{
    const int words = layer->words, width = layer->width;
    const packed_matrix readout = {.k = width, .n = words, .panels = floats};
    const size_t stride = logit_stride(words);
    float *logits = padded_rows(floats + rounded_up(packed_floats(width, words), WIDE), words);
    for (int i = 0; i < n; i += SCORED_ROWS) {
        const int rows = min_int(SCORED_ROWS, n - i);
        product(logits, (ptrdiff_t)stride, outputs + (ptrdiff_t)i * width, width, rows, &readout, layer->bias, 0);
        for (int row = 0; row < rows; row++)
            score_row(logits + (size_t)row * stride, words, targets[i + row], table, scores, i + row);
    }
}

/* The same from logits [n, V]; floats: scoring_floats(V, 0) of them. */
FUNCTION void score_logits(int words, const float *logits, const int *targets, int n, const keystroke_words *table,
                           const token_scores *scores, float *floats)
{
    float *row = padded_rows(floats, words);
    for (int i = 0; i < n; i++) {
        memcpy(row, logits + (size_t)i * (size_t)words, sizeof(float) * (size_t)words);
        score_row(row, words, targets[i], table, scores, i);
    }
}

#endif
