/* Memory for the work on one batch, out of one block that the caller owns: nothing here asks the system for any.
 *
 * The same code lays memory out and finds out how much there has to be: with `base` NULL it only counts.
 */
#ifndef TYPEFLEET_ARENA_H
#define TYPEFLEET_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { ALIGNED_FLOATS = 16 }; /* 64 bytes: a cache line, and the widest vector */

typedef struct {
    float *base; /* 64-byte aligned, or NULL */
    size_t used; /* floats handed out */
    size_t most; /* floats that were ever handed out at once */
} arena;

static inline __attribute__((unused)) float *take(arena *from, size_t floats)
{
    float *block = from->base ? from->base + from->used : NULL;
    from->used += (floats + ALIGNED_FLOATS - 1) / ALIGNED_FLOATS * ALIGNED_FLOATS;
    if (from->used > from->most) from->most = from->used;
    return block;
}

#endif
