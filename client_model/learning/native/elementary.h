/* exp, sigmoid and tanh of vectors: the same operations, so the same bits, in every variant.
 *
 * exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2) / 2, of which x - n ln 2 is taken in two parts (Cody
 * and Waite 1980, "Software Manual for the Elementary Functions", chapter 6). exp(r) - 1 is r + r^2 times a polynomial
 * of degree 4, fitted to it so that the largest relative error of exp is least: 3e-9 before rounding, so 1 unit in the
 * last place after it.
 */
#ifndef TYPEFLEET_ELEMENTARY_H
#define TYPEFLEET_ELEMENTARY_H

#include "lanes.h"

/* Beyond these exp stays where it is: at the smallest normal float, and at its reciprocal, so that no sigmoid is
   subnormal, which costs time. */
#define LOWEST_EXPONENT (-87.33654f)
#define HIGHEST_EXPONENT 87.33654f

typedef struct {
    vec scale;      /* 2^n */
    vec fraction_1; /* exp(r) - 1 */
} vexp_parts;

INLINE vexp_parts vexp_split(vec x)
{
    /* Added to a number, it leaves its integer part in the lowest bits, and 127 added: the exponent of 2^n. */
    const vec magic = vall(12582912.0f + 127.0f);
    x = vmax(vall(LOWEST_EXPONENT), vmin(vall(HIGHEST_EXPONENT), x)); /* a NaN stays one */
    vec shifted = vfma(x, vall(0x1.715476p+0f), magic);               /* log2(e) */
    vec n = vsub(shifted, magic);
    vec r = vfnma(n, vall(0x1.62e400p-1f), x); /* ln 2 in 15 bits: n times it is exact */
    r = vfnma(n, vall(0x1.7f7d1cp-20f), r);    /* the rest of ln 2 */
    vec p = vall(0x1.6a2434p-10f);
    p = vfma(p, r, vall(0x1.1239e2p-7f));
    p = vfma(p, r, vall(0x1.5558f2p-5f));
    p = vfma(p, r, vall(0x1.555492p-3f));
    p = vfma(p, r, vall(0x1.fffffcp-2f));
    return (vexp_parts){vshifted_exponent(shifted), vfma(vmul(p, r), r, r)};
}

INLINE vec vexp(vec x)
{
    vexp_parts e = vexp_split(x);
    return vfma(e.fraction_1, e.scale, e.scale);
}

INLINE vec vsigmoid(vec x) { return vdiv(vall(1.0f), vadd(vall(1.0f), vexp(vsub(vzero(), x)))); }

/* tanh(x) = (e - 1) / (e + 1) of e = exp(2 x), through e - 1, which keeps its digits near zero. */
INLINE vec vtanh(vec x)
{
    const vec one = vall(1.0f);
    x = vmax(vall(-20.0f), vmin(vall(20.0f), x)); /* +-1 to the last digit from 9 on; a NaN stays one */
    vexp_parts e = vexp_split(vadd(x, x));
    vec less_one = vfma(e.fraction_1, e.scale, vsub(e.scale, one));
    return vdiv(less_one, vadd(less_one, vall(2.0f)));
}

#endif
