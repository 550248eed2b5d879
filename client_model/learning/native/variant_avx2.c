/* For x86-64 with AVX2 and FMA: Haswell, Zen and later. */
#if defined(__x86_64__)
#define VARIANT_AVX2
#define VARIANT_NAME avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "variant_body.h"
#pragma clang attribute pop
#else
#pragma GCC target("avx2,fma")
#include "variant_body.h"
#endif
#else
typedef int nothing_for_other_machines;
#endif
