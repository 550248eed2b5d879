/* The kernel's functions, compiled once for each set of instructions. */
#ifndef TYPEFLEET_VARIANT_H
#define TYPEFLEET_VARIANT_H

#include <stddef.h>

typedef struct {
    const char *name;

    /* Parts that are called by themselves in tests and benchmarks alone. */
    size_t (*product_workspace)(int k, int n); /* floats that both products need */
    /* c [m, n] = (add ? c : 0) + bias [n] (NULL: none) + a [m, k] b, of b [k, n], or of b [n, k] transposed */
    void (*product)(float *c, const float *a, const float *b, const float *bias, const int m_k_n[3], int transposed, int add,
                    float *workspace);
    /* c [m, n] = (add ? c : 0) + a' b, of a [k, m] and b [k, n] */
    void (*product_transposed)(float *c, const float *a, const float *b, const int m_k_n[3], int add, float *workspace);
    void (*exp)(float *y, const float *x, size_t count);
    void (*sigmoid)(float *y, const float *x, size_t count);
    void (*tanh)(float *y, const float *x, size_t count);
} variant;

extern const variant variant_portable;
#if defined(__x86_64__)
extern const variant variant_avx2, variant_avx512;
#endif

#endif
