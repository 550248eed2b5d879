/* Layer normalisation without an offset: see client_model/learning/cells/norm.py. */
#ifndef TYPEFLEET_NORM_H
#define TYPEFLEET_NORM_H

#include "lanes.h"

#define SMALLEST_VARIANCE 1e-5f

/* Sums of x y over a row [width], y NULL: of x; in sixteen lanes in every variant. */
INLINE float row_sum(const float *x, const float *y, int width)
{
    wide sums = {{vzero()}};
    for (int i = 0; i < width; i += WIDE)
        for (int p = 0; p < WIDE_VECTORS; p++) {
            const int at = i + p * LANES, left = width - at;
            if (left <= 0) continue;
            vec a = vget(x + at, left);
            sums.part[p] = y ? vfma(a, vget(y + at, left), sums.part[p]) : vadd(sums.part[p], a);
        }
    return wide_sum(&sums);
}

/* read = normal * gain, normal [n, D]: each row of below [n, D] with mean 0 and variance 1; `rate` [n]: what it was
 * multiplied by for that. */
FUNCTION void norm_forward(
    float *read, float *normal, float *rate, const float *below, const float *gain, int n, int width)
{
    for (int r = 0; r < n; r++, read += width, normal += width, below += width) {
        vec mean = vall(row_sum(below, NULL, width) / (float)width);
        for (int i = 0; i < width; i += LANES) vput(normal + i, vsub(vget(below + i, width - i), mean), width - i);
        rate[r] = 1.0f / sqrtf(row_sum(normal, normal, width) / (float)width + SMALLEST_VARIANCE);
        for (int i = 0; i < width; i += LANES) {
            vec x = vmul(vget(normal + i, width - i), vall(rate[r]));
            vput(normal + i, x, width - i);
            vput(read + i, vmul(x, vget(gain + i, width - i)), width - i);
        }
    }
}

/* Adds the gradient of `below` to d_below [n, D] and sets that of the gain [D], given that of `read` [n, D], which is
 * used up: with g = d_read gain, it is rate (g - mean(g) - normal mean(g normal)). */
FUNCTION void norm_backward(
    float *d_below, float *d_gain, float *d_read, const float *normal, const float *rate, const float *gain, int n,
    int width)
{
    memset(d_gain, 0, sizeof(float) * (size_t)width);
    for (int r = 0; r < n; r++, d_below += width, d_read += width, normal += width) {
        for (int i = 0; i < width; i += LANES) {
            const int left = width - i;
            vec d = vget(d_read + i, left);
            vput(d_gain + i, vfma(d, vget(normal + i, left), vget(d_gain + i, left)), left);
            vput(d_read + i, vmul(d, vget(gain + i, left)), left);
        }
        vec mean = vall(row_sum(d_read, NULL, width) / (float)width);
        vec along = vall(row_sum(d_read, normal, width) / (float)width);
        for (int i = 0; i < width; i += LANES) {
            const int left = width - i;
            vec d = vsub(vsub(vget(d_read + i, left), mean), vmul(vget(normal + i, left), along));
            vput(d_below + i, vfma(d, vall(rate[r]), vget(d_below + i, left)), left);
        }
    }
}

#endif
