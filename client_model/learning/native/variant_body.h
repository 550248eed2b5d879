/* All of the kernel's code, included by each variant_*.c, which defines VARIANT_NAME and for which instructions it is.
 */
#include "elementary.h"
#include "output_layer.h"
#include "products.h"
#include "training.h"
#include "scoring.h"
#include "variant.h"

static size_t whole_product_workspace(int k, int n) { return packed_floats(k, n) + product_transposed_floats(); }

static void whole_product(float *c, const float *a, const float *b, const float *bias, const int m_k_n[3],
                          int transposed, int add, float *workspace)
{
    const int m = m_k_n[0], k = m_k_n[1], n = m_k_n[2];
    packed_matrix packed = {.k = k, .n = n, .panels = workspace};
    pack(&packed, b, transposed ? k : n, transposed);
    product(c, n, a, k, m, &packed, bias, add);
}

static void whole_product_transposed(float *c, const float *a, const float *b, const int m_k_n[3], int add,
                                     float *workspace)
{
    product_transposed(c, m_k_n[2], a, m_k_n[0], b, m_k_n[2], m_k_n[0], m_k_n[2], m_k_n[1], add, workspace);
}

#define ELEMENTARY(NAME)                                                                                               \
    static void each_##NAME(float *y, const float *x, size_t count)                                                    \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + LANES <= count; i += LANES) vstore(y + i, v##NAME(vload(x + i)));                                   \
        const int rest = (int)(count - i);                                                                             \
        if (rest) vstore_some(y + i, v##NAME(vload_some(x + i, rest)), rest);                                          \
    }
ELEMENTARY(exp)
ELEMENTARY(sigmoid)
ELEMENTARY(tanh)

#define TEXT_OF(NAME) #NAME
#define NAME_TEXT(NAME) TEXT_OF(NAME)
#define JOINED(A, B) A##B
#define NAME_JOINED(A, B) JOINED(A, B)

const variant NAME_JOINED(variant_, VARIANT_NAME) = {
    .name = NAME_TEXT(VARIANT_NAME),
    .product_workspace = whole_product_workspace,
    .product = whole_product,
    .product_transposed = whole_product_transposed,
    .exp = each_exp,
    .sigmoid = each_sigmoid,
    .tanh = each_tanh,
    .count_weights = count_weights,
    .training_floats = training_floats,
    .train = train,
    .outputs_floats = outputs_floats,
    .outputs = cell_outputs,
    .output_layer_floats = output_layer_floats,
    .output_layer_gradients = output_layer_gradients,
    .scoring_floats = scoring_floats,
    .prepare_scoring = prepare_scoring,
    .score_outputs = score_outputs,
    .score_logits = score_logits,
};
