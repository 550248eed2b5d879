/* The model's last layer in training: softmax(outputs E' + b), its mean cross-entropy, and the gradients of all three.
 *
 * Symbols: n tokens, V words, D width; E [V, D] the tied embedding, b [V] the output bias, h [n, D] the cell's
 * outputs.
 *
 *     logits = h E' + b;  p = softmax(logits);  loss = -sum log p[i, target i]
 *     d logits = scale (p - onehot);  d h = d logits E;  d E = d logits' h;  d b = sum over tokens of d logits
 *
 * Logits are computed as E h', tokens side by side, so that E and the probabilities are read where they lie by all
 * three products, and sums over words need no sum across a vector. A block of words at a time is turned from logits to
 * exponentials and into d h while it is in the first cache; only the exponentials of at most TOKENS_TOGETHER tokens
 * are kept, for d E. They are relative to a reference logit of each token, since the largest is not known until the
 * last block; 1 / (their sum) is applied to h and to d h instead of to them, which are many more.
 *
 * This is the online softmax of Milakov and Gimelshein 2018, arXiv:1805.02867, but that a larger logit moves the
 * reference only if exponentials might overflow; see `lift`.
 */
#ifndef TYPEFLEET_OUTPUT_LAYER_H
#define TYPEFLEET_OUTPUT_LAYER_H

#include <float.h>

#include "elementary.h"
#include "products.h"
#include "variant.h"

enum {
    WORDS_TOGETHER = 128,        /* 24 kB of exponentials of a panel of AVX-512, in a first cache of 48 kB */
    TOKENS_TOGETHER = SUM_BLOCK, /* 15 MB of exponentials of 10,000 words */
    EMBEDDING_ROWS = 256,        /* whose exponentials stay in the second cache for all panels of d E */
};
static const float HIGHEST_ABOVE_REFERENCE = 40.0f; /* e^40 times a million words is far from overflow */
static const float NO_REFERENCE = -FLT_MAX; /* yet: below all logits but -inf, which less -inf would be no number */
static const double SMALLEST_PROBABILITY = 1e-37;   /* one that underflows counts as this, 85 nats */

/* Of some tokens; the parts of a workspace. */
typedef struct {
    packed_matrix outputs_t; /* h' [D, n] */
    float *exponentials;     /* [V, stride]: exp(logit - reference) */
    ptrdiff_t stride;   /* of n tokens, rounded up; an odd number of cache lines, which spreads them over its sets */
    float *reference;   /* [stride] */
    float *sums;        /* [stride], of exponentials */
    float *d_outputs_t; /* [D, stride] */
    packed_matrix shares; /* [n, D]: outputs times step scale / sum */
    float *share_of_token; /* [stride]: step scale / sum */
} output_block;

/* Columns that are wide enough for whole panels of n tokens, and whole reductions. */
INLINE ptrdiff_t token_stride(int n)
{
    size_t lines = rounded_up(rounded_up((size_t)n, PANEL), WIDE) / WIDE;
    return (ptrdiff_t)((lines | 1) * WIDE);
}

/* Lays the parts out in `floats`, or only counts them if that is NULL; gives their number. */
INLINE size_t lay_out(output_block *block, float *floats, int words, int width, int n)
{
    const size_t stride = (size_t)token_stride(n);
    const size_t sizes[] = {packed_floats(width, n), (size_t)words * stride,    stride, stride,
                            (size_t)width * stride,  packed_floats(n, width),   stride};
    float **parts[] = {&block->outputs_t.panels, &block->exponentials,  &block->reference,     &block->sums,
                       &block->d_outputs_t,      &block->shares.panels, &block->share_of_token};
    size_t count = 0;
    for (int i = 0; i < 7; i++) {
        *parts[i] = floats ? floats + count : NULL;
        count += rounded_up(sizes[i], WIDE);
    }
    block->outputs_t.k = width, block->outputs_t.n = n;
    block->shares.k = n, block->shares.n = width;
    block->stride = (ptrdiff_t)stride;
    return count;
}

/* logits [words, columns] without bias of a block of words and a panel of tokens, into `to`. */
INLINE void block_logits(const output_layer *layer, const output_block *block, int word, int words, int token,
                         int columns)
{
    float *to = block->exponentials + word * block->stride + token;
    for (int k = 0; k < layer->width; k += SUM_BLOCK) {
        const tile t = {
            .a = layer->embedding + (ptrdiff_t)word * layer->width + k,
            .a_row = layer->width,
            .a_step = 1,
            .b = block->outputs_t.panels + (ptrdiff_t)layer->width * token + (ptrdiff_t)k * PANEL,
            .b_step = PANEL,
            .c = to,
            .c_row = block->stride,
            .start = k ? to : NULL,
            .start_row = block->stride,
            .k = min_int(SUM_BLOCK, layer->width - k),
            .columns = columns,
        };
        tile_column(t, words, 0);
    }
}

/* Raise the references of tokens whose logits in this block are too far above them, and scale down what came before. */
FUNCTION void lift(const output_block *block, int width, int word, int token, int columns, const float *highest)
{
    for (int j = 0; j < columns; j += LANES) {
        float *reference = block->reference + token + j;
        float raised[LANES];
        for (int i = 0; i < LANES; i++)
            raised[i] = highest[j + i] > reference[i] + HIGHEST_ABOVE_REFERENCE ? highest[j + i] : reference[i];
        const vec factor = vexp(vsub(vload(reference), vload(raised))); /* 1 where it stays */
        vstore(reference, vload(raised));
        float *sum = block->sums + token + j;
        vstore(sum, vmul(vload(sum), factor));
        for (int v = 0; v < word; v++) {
            float *e = block->exponentials + v * block->stride + token + j;
            vstore(e, vmul(vload(e), factor));
        }
        for (int d = 0; d < width; d++) {
            float *e = block->d_outputs_t + d * block->stride + token + j;
            vstore(e, vmul(vload(e), factor));
        }
    }
}

/* Logits of a block of words to exponentials, in place, and their sums. */
INLINE void block_exponentials(const output_layer *layer, const output_block *block, int word, int words, int token,
                               int vectors)
{
    const float *bias = layer->bias + word;
    float highest[PANEL];
    int is_high = 0;
    for (int j = 0; j < vectors; j++) {
        const float *column = block->exponentials + word * block->stride + token + j * LANES;
        vec most = vall(-INFINITY);
        for (int v = 0; v < words; v++) most = vmax(vadd(vload(column + v * block->stride), vall(bias[v])), most);
        vstore(highest + j * LANES, most);
        for (int i = 0; i < LANES; i++)
            is_high |= highest[j * LANES + i] > block->reference[token + j * LANES + i] + HIGHEST_ABOVE_REFERENCE;
    }
    if (is_high) lift(block, layer->width, word, token, vectors * LANES, highest);
    for (int j = 0; j < vectors; j++) {
        float *column = block->exponentials + word * block->stride + token + j * LANES;
        const vec reference = vload(block->reference + token + j * LANES);
        vec sum = vzero();
        for (int v = 0; v < words; v++) {
            float *place = column + v * block->stride;
            const vec e = vexp(vsub(vadd(vload(place), vall(bias[v])), reference));
            sum = vadd(sum, e);
            vstore(place, e);
        }
        float *sums = block->sums + token + j * LANES;
        vstore(sums, vadd(vload(sums), sum));
    }
}

/* d h' [D, columns] += E' times the exponentials of a block of words. */
INLINE void block_d_outputs(const output_layer *layer, const output_block *block, int word, int words, int token,
                            int columns)
{
    const tile t = {
        .a = layer->embedding + (ptrdiff_t)word * layer->width,
        .a_row = 1,
        .a_step = layer->width,
        .b = block->exponentials + word * block->stride + token,
        .b_step = block->stride,
        .c = block->d_outputs_t + token,
        .c_row = block->stride,
        .start = block->d_outputs_t + token,
        .start_row = block->stride,
        .k = words,
        .columns = columns,
    };
    tile_column(t, layer->width, 0);
}

/* Exponentials, their sums and d h' of all words. */
FUNCTION void forward_block(const output_layer *layer, output_block *block, const float *outputs, int n)
{
    pack(&block->outputs_t, outputs, layer->width, 1);
    for (ptrdiff_t i = 0; i < block->stride; i++) block->reference[i] = NO_REFERENCE, block->sums[i] = 0.0f;
    memset(block->d_outputs_t, 0, sizeof(float) * (size_t)layer->width * (size_t)block->stride);
    for (int word = 0; word < layer->words; word += WORDS_TOGETHER) {
        const int words = min_int(WORDS_TOGETHER, layer->words - word);
        for (int token = 0; token < n; token += PANEL) {
            const int vectors = min_int(TILE_VECTORS, (n - token + LANES - 1) / LANES);
            block_logits(layer, block, word, words, token, vectors * LANES);
            block_exponentials(layer, block, word, words, token, vectors);
            block_d_outputs(layer, block, word, words, token, vectors * LANES);
        }
    }
}

/* Loss and d outputs [n, D]; and h times what its token's exponentials have to be multiplied by. */
FUNCTION double token_gradients(const output_layer *layer, output_block *block, const float *outputs,
                                const int *targets, int n, const output_step *step, float *d_outputs)
{
    const int width = layer->width;
    double loss = 0.0;
    for (int i = 0; i < n; i++) {
        /* All logits -inf: no probability is a number. */
        const float sum = block->reference[i] > NO_REFERENCE ? block->sums[i] : NAN;
        const float of_sum = 1.0f / sum, share = of_sum * step->scale * step->step;
        const double probability = (double)block->exponentials[targets[i] * block->stride + i] * (double)of_sum;
        loss -= log(probability < SMALLEST_PROBABILITY ? SMALLEST_PROBABILITY : probability);
        const float *of_target = layer->embedding + (ptrdiff_t)targets[i] * width;
        for (int d = 0; d < width; d++) {
            d_outputs[(ptrdiff_t)i * width + d] =
                step->scale * (block->d_outputs_t[d * block->stride + i] * of_sum - of_target[d]);
            *packed_number(&block->shares, i, d) = outputs[(ptrdiff_t)i * width + d] * share;
        }
        block->share_of_token[i] = share;
    }
    for (ptrdiff_t i = n; i < block->stride; i++) block->share_of_token[i] = 0.0f;
    return loss;
}

/* bias [words] = (add ? bias : 0) + step scale times the sums of probabilities over tokens, in sixteen lanes. */
INLINE void bias_step(const output_block *block, int word, int words, int n, const output_step *step)
{
    for (int v = word; v < word + words; v++) {
        const float *row = block->exponentials + v * block->stride;
        wide sum;
        for (int part = 0; part < WIDE_VECTORS; part++) sum.part[part] = vzero();
        for (int i = 0; i < n; i += WIDE)
            for (int part = 0; part < WIDE_VECTORS; part++) {
                const int at = i + part * LANES;
                if (at >= n) break; /* nothing was written there */
                sum.part[part] = vfma(vload(row + at), vload(block->share_of_token + at), sum.part[part]);
            }
        step->bias[v] = (step->add ? step->bias[v] : 0.0f) + wide_sum(&sum);
    }
}

/* The dense part of both steps: p' shares of the embedding, and of the bias. */
FUNCTION void dense_step(const output_layer *layer, const output_block *block, int n, const output_step *step)
{
    const int width = layer->width;
    for (int word = 0; word < layer->words; word += EMBEDDING_ROWS) {
        const int words = min_int(EMBEDDING_ROWS, layer->words - word);
        for (int d = 0; d < width; d += PANEL) {
            float *to = step->embedding + (ptrdiff_t)word * width + d;
            const tile t = {
                .a = block->exponentials + word * block->stride,
                .a_row = block->stride,
                .a_step = 1,
                .b = packed_number(&block->shares, 0, d),
                .b_step = PANEL,
                .c = to,
                .c_row = width,
                .start = step->add ? to : NULL,
                .start_row = width,
                .k = n,
                .columns = min_int(PANEL, width - d),
            };
            tile_column(t, words, 0);
        }
        bias_step(block, word, words, n, step);
    }
}

/* The part of the targets, token after token. */
INLINE void target_step(const output_layer *layer, const float *outputs, const int *targets, int n,
                        const output_step *step)
{
    const float share = step->scale * step->step;
    for (int i = 0; i < n; i++) {
        float *row = step->embedding + (ptrdiff_t)targets[i] * layer->width;
        for (int d = 0; d < layer->width; d++) row[d] -= share * outputs[(ptrdiff_t)i * layer->width + d];
        step->bias[targets[i]] -= share;
    }
}

/* Of at most TOKENS_TOGETHER tokens; `step` may write to the layer's own weights. */
FUNCTION double output_layer_block(const output_layer *layer, const float *outputs, const int *targets, int n,
                                   const output_step *step, float *d_outputs, float *floats)
{
    output_block block;
    lay_out(&block, floats, layer->words, layer->width, n);
    forward_block(layer, &block, outputs, n);
    const double loss = token_gradients(layer, &block, outputs, targets, n, step, d_outputs);
    dense_step(layer, &block, n, step);
    target_step(layer, outputs, targets, n, step);
    return loss;
}

/* Floats that `output_layer_gradients` needs for n tokens. */
FUNCTION size_t output_layer_floats(int words, int width, int n)
{
    output_block block;
    const size_t of_block = lay_out(&block, NULL, words, width, min_int(n, TOKENS_TOGETHER));
    return of_block + (n > TOKENS_TOGETHER ? (size_t)words * ((size_t)width + 1) : 0);
}

/* The summed loss of n tokens, and d outputs [n, D]; takes `step` of the embedding and the bias.
 *
 * outputs [n, D]; targets [n], each in [0, V); floats: output_layer_floats() of them. If `step` adds to the layer's own
 * weights, that is done when nothing reads them any more.
 */
FUNCTION double output_layer_gradients(const output_layer *layer, const float *outputs, const int *targets, int n,
                                       const output_step *step, float *d_outputs, float *floats)
{
    const size_t words = (size_t)layer->words, weights = words * (size_t)layer->width;
    const int is_summed_apart = step->add && n > TOKENS_TOGETHER;
    output_step part = *step;
    if (is_summed_apart) {
        part.embedding = floats + output_layer_floats(layer->words, layer->width, TOKENS_TOGETHER);
        part.bias = part.embedding + weights;
    }
    part.add = step->add && !is_summed_apart;
    if (!n && !step->add) {
        memset(step->embedding, 0, sizeof(float) * weights);
        memset(step->bias, 0, sizeof(float) * words);
    }
    double loss = 0.0;
    for (int i = 0; i < n; i += TOKENS_TOGETHER, part.add = 1) {
        const ptrdiff_t at = (ptrdiff_t)i * layer->width;
        loss += output_layer_block(layer, outputs + at, targets + i, min_int(TOKENS_TOGETHER, n - i), &part,
                                   d_outputs + at, floats);
    }
    if (is_summed_apart) {
        for (size_t i = 0; i < weights; i++) step->embedding[i] += part.embedding[i];
        for (size_t i = 0; i < words; i++) step->bias[i] += part.bias[i];
    }
    return loss;
}

#endif
