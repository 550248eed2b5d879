/* The kernel's functions, compiled once for each set of instructions. */
#ifndef TYPEFLEET_VARIANT_H
#define TYPEFLEET_VARIANT_H

#include <stddef.h>
#include <stdint.h>

#include "sizes.h"

/* logits = outputs E' + b */
typedef struct {
    int words, width;       /* V, D */
    const float *embedding; /* E [V, D] */
    const float *bias;      /* b [V] */
} output_layer;

/* Where the last layer's gradients go, and how large a step is taken along them. */
typedef struct {
    float scale; /* of the loss: 1 / n for the mean of n tokens */
    float step;  /* the two below become (add ? what they are : 0) + step times their gradients */
    int add;
    float *embedding; /* [V, D]; with `add` these may be the weights themselves */
    float *bias;      /* [V] */
} output_step;

/* Which words begin alike: client_model.metrics.keystrokes.KeystrokeTable, P = depth. */
typedef struct {
    int first_word;          /* ids from here on are words, those below are never suggested */
    int depth;               /* P */
    const int *letters;      /* [V] */
    const int *alphabetical; /* [V - first_word], ids */
    const int64_t *first; /* [V, P], places in alphabetical where the words with the same first 1 .. P letters begin */
    const int64_t *last;  /* [V, P], and end */
} keystroke_words;

/* How well each of n tokens was predicted; see client_model.metrics.scored_tokens.TokenScores. */
typedef struct {
    float *loss;         /* [n], nats */
    int64_t *rank;       /* [n]; NULL: only the losses are wanted */
    int64_t *keystrokes; /* [n] */
} token_scores;

typedef struct {
    const char *name;

    /* Parts that are called by themselves in tests and benchmarks alone. */
    size_t (*product_workspace)(int k, int n); /* floats that both products need */
    /* c [m, n] = (add ? c : 0) + bias [n] (NULL: none) + a [m, k] b, of b [k, n], or of b [n, k] transposed */
    void (*product)(float *c, const float *a, const float *b, const float *bias, const int m_k_n[3], int transposed,
                    int add, float *workspace);
    /* c [m, n] = (add ? c : 0) + a' b, of a [k, m] and b [k, n] */
    void (*product_transposed)(float *c, const float *a, const float *b, const int m_k_n[3], int add, float *workspace);
    void (*exp)(float *y, const float *x, size_t count);
    void (*sigmoid)(float *y, const float *x, size_t count);
    void (*tanh)(float *y, const float *x, size_t count);

    size_t (*count_weights)(model_sizes);
    /* Floats of memory for batches of at most so many tokens, the first step of which has at most so many rows. */
    size_t (*training_floats)(model_sizes, int most_tokens, int most_rows);
    /* Sets update [num_weights] to trained minus received weights, and returns the summed loss of all batches in nats,
     * each before its step. memory: 64-byte aligned, training_floats of it. Nothing is checked here. */
    double (*train)(model_sizes, const float *received, float *update, packed_text, sgd, float *memory);
    /* Sets outputs [tokens, D] to those of the cell; outputs_floats of memory, as training_floats. */
    size_t (*outputs_floats)(model_sizes, int most_tokens, int most_rows);
    void (*outputs)(model_sizes, const float *received, float *outputs, packed_text, float *memory);
    /* See output_layer.h. */
    size_t (*output_layer_floats)(int words, int width, int n);
    double (*output_layer_gradients)(const output_layer *layer, const float *outputs, const int *targets, int n,
                                     const output_step *step, float *d_outputs, float *floats);

    /* See scoring.h. */
    size_t (*scoring_floats)(int words, int width);
    void (*prepare_scoring)(const output_layer *layer, float *floats);
    void (*score_outputs)(const output_layer *layer, const float *outputs, const int *targets, int n,
                          const keystroke_words *words, const token_scores *scores, float *floats);
    void (*score_logits)(int words, const float *logits, const int *targets, int n, const keystroke_words *table,
                         const token_scores *scores, float *floats);
} variant;

extern const variant variant_portable;
#if defined(__x86_64__)
extern const variant variant_avx2, variant_avx512;
#endif

#endif
