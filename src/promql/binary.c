/* SPDX-License-Identifier: Apache-2.0 */
/* binary.c: arithmetic and comparisons, one loop per operator. */
#include "promql/binary.h"

#include "base/assert.h"

#include <math.h>

#define EACH(expression)                                                                           \
    do {                                                                                           \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = (expression);                                                                 \
    } while (0)

void binary_apply(enum binary_op op, const double *left, const double *right, size_t count,
                  double *out)
{
    switch (op) {
    case OP_ADD:
        EACH(left[i] + right[i]);
        return;
    case OP_SUB:
        EACH(left[i] - right[i]);
        return;
    case OP_MUL:
        EACH(left[i] * right[i]);
        return;
    case OP_DIV:
        EACH(left[i] / right[i]);
        return;
    case OP_MOD:
        EACH(fmod(left[i], right[i]));
        return;
    case OP_POW:
        EACH(pow(left[i], right[i]));
        return;
    case OP_ATAN2:
        EACH(atan2(left[i], right[i]));
        return;
    case OP_EQ:
        EACH(left[i] == right[i] ? 1 : 0);
        return;
    case OP_NE:
        EACH(left[i] != right[i] ? 1 : 0);
        return;
    case OP_GT:
        EACH(left[i] > right[i] ? 1 : 0);
        return;
    case OP_LT:
        EACH(left[i] < right[i] ? 1 : 0);
        return;
    case OP_GE:
        EACH(left[i] >= right[i] ? 1 : 0);
        return;
    case OP_LE:
        EACH(left[i] <= right[i] ? 1 : 0);
        return;
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER:
        break; /* not on two floats */
    }
    UNREACHABLE();
}

#define BITS(expression)                                                                           \
    do {                                                                                           \
        for (unsigned i = 0; i < count; i++)                                                       \
            bits |= (uint64_t)(expression) << i;                                                   \
    } while (0)

uint64_t binary_compare(enum binary_op op, const double *left, const double *right, unsigned count)
{
    uint64_t bits = 0;
    switch (op) {
    case OP_EQ:
        BITS(left[i] == right[i]);
        break;
    case OP_NE:
        BITS(left[i] != right[i]);
        break;
    case OP_GT:
        BITS(left[i] > right[i]);
        break;
    case OP_LT:
        BITS(left[i] < right[i]);
        break;
    case OP_GE:
        BITS(left[i] >= right[i]);
        break;
    case OP_LE:
        BITS(left[i] <= right[i]);
        break;
    default:
        UNREACHABLE();
    }
    return bits;
}

void binary_apply_row(enum binary_op op, bool return_bool, const double *left, const double *right,
                      uint32_t steps, double *values, uint64_t *presence)
{
    if (!binary_is_comparison(op) || return_bool) {
        binary_apply(op, left, right, steps, values);
        return;
    }
    for (uint32_t i = 0; i < steps; i += 64) {
        unsigned count = steps - i < 64 ? steps - i : 64;
        presence[i / 64] &= binary_compare(op, left + i, right + i, count);
    }
}
