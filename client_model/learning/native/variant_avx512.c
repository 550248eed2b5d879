/* For x86-64 with AVX-512 as of Skylake servers, Ice Lake and Zen 4. */
#if defined(__x86_64__)
#define VARIANT_AVX512
#define VARIANT_NAME avx512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), \
                             apply_to = function)
#include "variant_body.h"
#pragma clang attribute pop
#else
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#include "variant_body.h"
#endif
#else
typedef int nothing_for_other_machines;
#endif
