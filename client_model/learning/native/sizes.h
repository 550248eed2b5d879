/* What a kernel is asked to train, and on what. */
#ifndef TYPEFLEET_SIZES_H
#define TYPEFLEET_SIZES_H

#include <stddef.h>
#include <stdint.h>

enum { CIFG, GRU, LSTM, CELL_KINDS }; /* as available.py numbers them */
enum { MOST_LAYERS = 8 };

typedef struct {
    int cell;   /* of CELL_KINDS */
    int layers; /* 1, or more of cifg, which then is `stacked` */
    int words;  /* V */
    int width;  /* D, of the embedding */
    int units;  /* U */
} model_sizes;

/* Tokens in packed order: batch after batch, step after step, rows by falling length; see client_model.text.batches. */
typedef struct {
    const int32_t *inputs, *targets; /* [tokens], each in [0, V) */
    const int32_t *rows;             /* [batches, steps], falling within a batch */
    int batches, steps;
    int most_tokens, most_rows; /* of a batch, and of its first step */
} packed_text;

typedef struct {
    float learning_rate;
    float max_gradient_norm; /* 0: no bound */
} sgd;

#endif
