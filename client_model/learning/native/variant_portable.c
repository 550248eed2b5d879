/* For any machine; fast where a fused multiply-add is an instruction that the compiler may use, as on 64-bit ARM. */
#define VARIANT_PORTABLE
#define VARIANT_NAME portable
#include "variant_body.h"
