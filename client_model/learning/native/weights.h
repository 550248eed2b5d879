/* Where each weight, or its gradient, stands in one flat vector, as client_model.learning.language_model has it:
 * embedding [V, D]; of each layer, from the second on after norm_gain [D]: input_kernel [D, G U],
 * recurrent_kernel [R, G U], gate_bias [G U], projection [U, D]; output_bias [V]. G gates; R is D, or U where the
 * hidden state recurs, as in the LSTM.
 */
#ifndef TYPEFLEET_WEIGHTS_H
#define TYPEFLEET_WEIGHTS_H

#include "kinds.h"

typedef struct {
    float *norm_gain; /* NULL in the first layer */
    float *input_kernel, *recurrent_kernel, *gate_bias, *projection;
} layer_weights;

typedef struct {
    float *embedding, *output_bias;
    layer_weights layer[MOST_LAYERS];
} model_weights;

FUNCTION size_t count_weights(model_sizes s)
{
    const size_t width = (size_t)s.width, units = (size_t)s.units, across = (size_t)gates_of(s) * units;
    const size_t of_layer = (width + (size_t)recurrent_width(s) + 1) * across + units * width;
    return (size_t)s.words * (width + 1) + (size_t)s.layers * of_layer + (size_t)(s.layers - 1) * width;
}

FUNCTION model_weights weights_in(model_sizes s, float *flat)
{
    const size_t width = (size_t)s.width, units = (size_t)s.units, across = (size_t)gates_of(s) * units;
    model_weights w = {.embedding = flat};
    float *at = flat + (size_t)s.words * width;
    for (int i = 0; i < s.layers; i++) {
        layer_weights *layer = &w.layer[i];
        if (i) {
            layer->norm_gain = at;
            at += width;
        }
        layer->input_kernel = at;
        layer->recurrent_kernel = layer->input_kernel + width * across;
        layer->gate_bias = layer->recurrent_kernel + (size_t)recurrent_width(s) * across;
        layer->projection = layer->gate_bias + across;
        at = layer->projection + units * width;
    }
    w.output_bias = at;
    return w;
}

#endif
