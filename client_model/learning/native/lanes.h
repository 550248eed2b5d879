/* Vectors of float32, as wide as the instructions that this variant is compiled for.
 *
 * Every operation here rounds as IEEE 754 has it, and a fused multiply-add rounds once: so a number that is computed
 * by the same operations in the same order has the same bits in each variant, however wide its vectors are. Nothing
 * else computes with floats, but plain C with -ffp-contract=off.
 *
 * A variant file defines VARIANT_AVX512, VARIANT_AVX2 or VARIANT_PORTABLE before it includes anything.
 */
#ifndef TYPEFLEET_LANES_H
#define TYPEFLEET_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))
#define FUNCTION static __attribute__((noinline, unused)) /* called from few places: keep it a frame of its own */

/* TILE_ROWS x TILE_VECTORS sums are in registers at a time; see tiles.h. Where the caches are small, both matrices of a
 * gradient are packed for it (GRADIENTS_PACKED); see products.h. */
#if defined(VARIANT_AVX512) /* 32 registers: 24 sums, 3 vectors of B, one number of A */

#include <immintrin.h>
typedef __m512 vec;
enum { LANES = 16, TILE_ROWS = 8, TILE_VECTORS = 3, GRADIENTS_PACKED = 0 };

INLINE vec vload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vstore(float *p, vec x) { _mm512_storeu_ps(p, x); }
INLINE vec vall(float x) { return _mm512_set1_ps(x); }
INLINE vec vadd(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec vsub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec vmul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec vdiv(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }   /* a b + c */
INLINE vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
INLINE vec vmax(vec a, vec b) { return _mm512_max_ps(a, b); }               /* a > b ? a : b, so b beside a NaN */
INLINE vec vmin(vec a, vec b) { return _mm512_min_ps(a, b); }               /* a < b ? a : b, so b beside a NaN */
INLINE vec vcount_greater(vec count, vec a, vec b)                          /* count + 1 where a > b */
{
    return _mm512_mask_add_ps(count, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), count, _mm512_set1_ps(1.0f));
}
INLINE vec vcount_equal(vec count, vec a, vec b) /* count + 1 where a == b */
{
    return _mm512_mask_add_ps(count, _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), count, _mm512_set1_ps(1.0f));
}
INLINE vec vshifted_exponent(vec x) /* the 9 low bits of x as sign and exponent of a float */
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23));
}

#elif defined(VARIANT_AVX2) /* 16 registers: 12 sums, 2 vectors of B, two numbers of A */

#include <immintrin.h>
typedef __m256 vec;
enum { LANES = 8, TILE_ROWS = 6, TILE_VECTORS = 2, GRADIENTS_PACKED = 1 };

INLINE vec vload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vstore(float *p, vec x) { _mm256_storeu_ps(p, x); }
INLINE vec vall(float x) { return _mm256_set1_ps(x); }
INLINE vec vadd(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec vsub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec vmul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec vdiv(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vec vmax(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec vmin(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec vcount_greater(vec count, vec a, vec b)
{
    return _mm256_add_ps(count, _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), _mm256_set1_ps(1.0f)));
}
INLINE vec vcount_equal(vec count, vec a, vec b)
{
    return _mm256_add_ps(count, _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), _mm256_set1_ps(1.0f)));
}
INLINE vec vshifted_exponent(vec x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 23)); }

#elif defined(VARIANT_PORTABLE) /* GCC's and Clang's vectors of four, as NEON has them; 32 registers */

typedef float vec __attribute__((vector_size(16)));
typedef uint32_t bits4 __attribute__((vector_size(16)));
enum { LANES = 4, TILE_ROWS = 8, TILE_VECTORS = 2, GRADIENTS_PACKED = 0 };

INLINE vec vload(const float *p)
{
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE void vstore(float *p, vec x) { memcpy(p, &x, sizeof x); }
INLINE vec vall(float x) { return (vec){x, x, x, x}; }
INLINE vec vadd(vec a, vec b) { return a + b; }
INLINE vec vsub(vec a, vec b) { return a - b; }
INLINE vec vmul(vec a, vec b) { return a * b; }
INLINE vec vdiv(vec a, vec b) { return a / b; }
INLINE vec vfma(vec a, vec b, vec c)
{
    return (vec){fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]), fmaf(a[3], b[3], c[3])};
}
INLINE vec vfnma(vec a, vec b, vec c) { return vfma(-a, b, c); }
INLINE vec vselect(bits4 mask, vec a, vec b) { return (vec)((mask & (bits4)a) | (~mask & (bits4)b)); }
INLINE vec vmax(vec a, vec b) { return vselect((bits4)(a > b), a, b); }
INLINE vec vmin(vec a, vec b) { return vselect((bits4)(a < b), a, b); }
INLINE vec vcount_greater(vec count, vec a, vec b) { return count + (vec)((bits4)(a > b) & (bits4)vall(1.0f)); }
INLINE vec vcount_equal(vec count, vec a, vec b) { return count + (vec)((bits4)(a == b) & (bits4)vall(1.0f)); }
INLINE vec vshifted_exponent(vec x) { return (vec)((bits4)x << 23); }

#else
#error "a variant file defines which instructions are meant"
#endif

/* to [4, 4] = from' [4, 4]; rows of each are so many floats apart. */
INLINE void transpose_4x4(float *to, ptrdiff_t to_row, const float *from, ptrdiff_t from_row)
{
#if defined(VARIANT_PORTABLE)
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) to[i * to_row + j] = from[j * from_row + i];
#else
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row);
    __m128 c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a), _mm_storeu_ps(to + to_row, b);
    _mm_storeu_ps(to + 2 * to_row, c), _mm_storeu_ps(to + 3 * to_row, d);
#endif
}

enum { PANEL = TILE_VECTORS * LANES }; /* columns whose sums are computed together */
enum { WIDE = 16 };                    /* lanes of a reduction, in every variant */

INLINE vec vzero(void) { return vall(0.0f); }

/* Sixteen lanes: what reductions are made of, so that their order is no matter of the variant. */
enum { WIDE_VECTORS = WIDE / LANES };
typedef struct {
    vec part[WIDE_VECTORS];
} wide;

INLINE float wide_sum(const wide *x) /* 16 -> 8 -> 4 -> 2 -> 1, halves added */
{
    float lanes[WIDE];
    for (int i = 0; i < WIDE_VECTORS; i++) vstore(lanes + i * LANES, x->part[i]);
    for (int half = WIDE / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/* The first `count` of LANES floats; the others are zero, and not written. */
INLINE vec vload_some(const float *p, int count)
{
    float lanes[LANES] = {0};
    memcpy(lanes, p, sizeof(float) * (size_t)count);
    return vload(lanes);
}
INLINE void vstore_some(float *p, vec x, int count)
{
    float lanes[LANES];
    vstore(lanes, x);
    memcpy(p, lanes, sizeof(float) * (size_t)count);
}

/* A vector of a row of which `left` floats are left. */
INLINE vec vget(const float *p, int left) { return left >= LANES ? vload(p) : vload_some(p, left); }
INLINE void vput(float *p, vec x, int left)
{
    if (left >= LANES)
        vstore(p, x);
    else
        vstore_some(p, x, left);
}

#endif
