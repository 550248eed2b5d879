#ifndef TYPEFLEET_READOUT_H
#define TYPEFLEET_READOUT_H
#include "elementary.h"
#include "products.h"
INLINE size_t readout_floats(int n, int words, int width)
{
    return rounded_up(packed_floats(width, words) + packed_floats(words, width),16) + (size_t)n * (size_t)words + 16 + product_transposed_floats();
}
FUNCTION double readout_gradients(const float *embedding, const float *bias, const float *outputs, const int32_t *targets, int n, int words, int width, float scale, float *d_outputs, float *d_embedding, float *d_bias, workspace *w)
{
    packed_matrix p = {.k = width, .n = words, .panels = w->floats};
    float *logits = w->floats + rounded_up(packed_floats(width, words) + packed_floats(words, width),16);
    workspace rest = {.floats = logits + (size_t)n * (size_t)words, .count = product_transposed_floats()};
    pack(&p, embedding, width, 1);
    product(logits, words, outputs, width, n, &p, bias, 0);
    double loss = 0;
    memset(d_bias, 0, sizeof(float) * (size_t)words);
    for (int i = 0; i < n; i++) {
        float *row = logits + (size_t)i * (size_t)words, most = row[0], sum = 0;
        for (int j = 1; j < words; j++) most = row[j] > most ? row[j] : most;
        for (int j = 0; j < words; j++) sum += row[j] = expf(row[j] - most);
        for (int j = 0; j < words; j++) row[j] /= sum;
        loss -= log(row[targets[i]] > 1e-37f ? row[targets[i]] : (row[targets[i]] != row[targets[i]] ? row[targets[i]] : 1e-37f));
        row[targets[i]] -= 1;
        for (int j = 0; j < words; j++) row[j] *= scale, d_bias[j] += row[j];
    }
    p.k = words, p.n = width;
    pack(&p, embedding, width, 0);
    product(d_outputs, width, logits, words, n, &p, NULL, 0);
    product_transposed(d_embedding, width, logits, words, outputs, width, words, width, n, 0, &rest);
    return loss;
}
#endif
