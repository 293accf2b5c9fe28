/* SPDX-License-Identifier: Apache-2.0 */
/* tree_compare.h: are two parsed queries the same, whatever their spans and the order of matchers? */
#ifndef BELFRY_TESTS_TREE_COMPARE_H
#define BELFRY_TESTS_TREE_COMPARE_H

#include "promql/ast.h"

#include <stdbool.h>

bool tree_equal(const struct expr *a, const struct expr *b);

#endif
