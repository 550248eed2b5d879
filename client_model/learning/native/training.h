/* Local SGD on one phone: see client_model/learning/local_training.py, which the tests hold it to. */
#ifndef TYPEFLEET_TRAINING_H
#define TYPEFLEET_TRAINING_H

#include "cells.h"
#include "output_layer.h"

enum { SQUARES_AT_ONCE = 4096 }; /* floats whose squares are summed in float32, before float64 takes over */

typedef struct {
    float *gradients; /* [num_weights] */
    cell_trace cell;
    float *rest; /* of the output layer, and of gradients of weights, one after another */
} training_memory;

FUNCTION training_memory training_memory_in(arena *from, model_sizes s, int tokens, int rows)
{
    training_memory made = {.gradients = take(from, count_weights(s))};
    made.cell = cell_trace_in(from, s, tokens, rows, 0);
    const size_t of_layer = output_layer_floats(s.words, s.width, tokens), of_product = product_transposed_floats();
    made.rest = take(from, of_layer > of_product ? of_layer : of_product);
    return made;
}

/* Sum of squares, in the same order in every variant. */
FUNCTION double squared_norm(const float *x, size_t count)
{
    double sum = 0;
    for (size_t begin = 0; begin < count; begin += SQUARES_AT_ONCE) {
        const size_t left = count - begin;
        sum += row_sum(x + begin, x + begin, left < SQUARES_AT_ONCE ? (int)left : SQUARES_AT_ONCE);
    }
    return sum;
}

/* The step size, smaller where the gradient [count] is longer than the bound. */
FUNCTION float step_size(sgd how, const float *gradients, size_t count)
{
    if (how.max_gradient_norm == 0.0f) return how.learning_rate;
    const double norm = sqrt(squared_norm(gradients, count));
    if (norm > (double)how.max_gradient_norm) return (float)(how.learning_rate * (how.max_gradient_norm / norm));
    return how.learning_rate; /* of a gradient that is NaN, too: the step is NaN then */
}

/* What one step, or the whole training, starts from and leaves; [num_weights] each. The first step reads the weights
 * where they were received, and the last leaves what they have come to less these: two passes over all weights fewer,
 * each of which takes a hundredth of a phone's time.
 */
typedef struct {
    const float *from;
    float *to;         /* may be `from` */
    const float *less; /* NULL: nothing */
} step_ends;

/* to = from - size * gradients, less what is to be left out */
FUNCTION void take_step(step_ends ends, const float *gradients, float size, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        const int left = count - i < LANES ? (int)(count - i) : LANES;
        vec after = vfnma(vall(size), vget(gradients + i, left), vget(ends.from + i, left));
        if (ends.less) after = vsub(after, vget(ends.less + i, left));
        vput(ends.to + i, after, left);
    }
}

/* table[ids[i]] += rows[i] of rows [n, width], one after another */
FUNCTION void add_rows(float *table, const int32_t *ids, const float *rows, int n, int width)
{
    for (int i = 0; i < n; i++, rows += width) {
        float *row = table + (size_t)ids[i] * (size_t)width;
        for (int j = 0; j < width; j++) row[j] += rows[j];
    }
}

/* Outputs [n, D] of the cell. */
FUNCTION const float *outputs_of(
    model_sizes s, const model_weights *weights, cell_trace *cell, batch b, const int32_t *inputs)
{
    const size_t width = (size_t)s.width;
    for (size_t i = 0; i < (size_t)b.tokens; i++)
        memcpy(cell->x + i * width, weights->embedding + (size_t)inputs[i] * width, sizeof(float) * width);
    return cell_forward(s, weights, cell, b);
}

/* One step on one batch; returns its summed loss before it, in nats. */
FUNCTION double train_batch(
    model_sizes s, step_ends ends, training_memory *memory, batch b, const int32_t *inputs, const int32_t *targets,
    sgd how)
{
    const size_t count = count_weights(s);
    const model_weights weights = weights_in(s, (float *)ends.from); /* which are only read */
    const model_weights gradients = weights_in(s, memory->gradients);
    cell_trace *cell = &memory->cell;
    const float *outputs = outputs_of(s, &weights, cell, b, inputs);
    const output_layer layer = {s.words, s.width, weights.embedding, weights.output_bias};
    const output_step into = {
        .scale = 1.0f / (float)b.tokens,
        .step = 1.0f,
        .embedding = gradients.embedding,
        .bias = gradients.output_bias,
    };
    const double loss =
        output_layer_gradients(&layer, outputs, targets, b.tokens, &into, cell->d_output, memory->rest);
    cell_backward(s, &weights, &gradients, cell, b, memory->rest);
    add_rows(gradients.embedding, inputs, cell->d_read, b.tokens, s.width);
    take_step(ends, memory->gradients, step_size(how, memory->gradients, count), count);
    return loss;
}

/* The batch that begins at `rows`: its tokens, and its steps that have any. */
FUNCTION batch batch_at(const int32_t *rows, int steps)
{
    batch b = {.rows = rows};
    for (; b.steps < steps && rows[b.steps]; b.steps++) b.tokens += rows[b.steps];
    return b;
}

FUNCTION size_t training_floats(model_sizes s, int tokens, int rows)
{
    arena counted = {0};
    training_memory_in(&counted, s, tokens, rows);
    return counted.used;
}

/* See variant.h. */
FUNCTION double train(model_sizes s, const float *received, float *update, packed_text text, sgd how, float *floats)
{
    arena from = {.base = floats};
    training_memory memory = training_memory_in(&from, s, text.most_tokens, text.most_rows);
    const size_t count = count_weights(s);
    size_t batches = (size_t)text.batches;
    while (batches && !batch_at(text.rows + (batches - 1) * (size_t)text.steps, text.steps).tokens) batches--;
    for (size_t i = 0; !batches && i < count; i++) update[i] = received[i] - received[i]; /* NaN, if a weight is none */
    double loss = 0;
    step_ends ends = {.from = received, .to = update};
    const int32_t *inputs = text.inputs, *targets = text.targets;
    for (size_t i = 0; i < batches; i++) {
        const batch b = batch_at(text.rows + i * (size_t)text.steps, text.steps);
        if (!b.tokens) continue;
        if (i + 1 == batches) ends.less = received;
        loss += train_batch(s, ends, &memory, b, inputs, targets, how);
        ends.from = update;
        inputs += b.tokens, targets += b.tokens;
    }
    return loss;
}

FUNCTION size_t outputs_floats(model_sizes s, int tokens, int rows)
{
    arena counted = {0};
    cell_trace_in(&counted, s, tokens, rows, 1);
    return counted.used;
}

/* See variant.h. */
FUNCTION void cell_outputs(model_sizes s, const float *received, float *outputs, packed_text text, float *floats)
{
    arena from = {.base = floats};
    cell_trace cell = cell_trace_in(&from, s, text.most_tokens, text.most_rows, 1);
    const model_weights weights = weights_in(s, (float *)received); /* which are only read */
    const int32_t *inputs = text.inputs;
    for (size_t i = 0; i < (size_t)text.batches; i++) {
        const batch b = batch_at(text.rows + i * (size_t)text.steps, text.steps);
        if (!b.tokens) continue;
        const size_t count = (size_t)b.tokens * (size_t)s.width;
        memcpy(outputs, outputs_of(s, &weights, &cell, b, inputs), sizeof(float) * count);
        outputs += count, inputs += b.tokens;
    }
}

#endif
