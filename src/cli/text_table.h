/* SPDX-License-Identifier: Apache-2.0 */
/* text_table.h: columns of text, as wide as their widest cell and two blanks. */
#ifndef BELFRY_CLI_TEXT_TABLE_H
#define BELFRY_CLI_TEXT_TABLE_H

#include "base/buffer.h"

#include <stdio.h>

enum { TEXT_TABLE_COLUMNS_MAX = 16 };

struct text_table {
    struct buffer text; /* all cells, one after another */
    size_t *ends;       /* of each cell in it */
    size_t count, capacity, columns;
};

/* The first row is the heads, a tab between them. */
void text_table_init(struct text_table *t, const char *heads);
/* The next cell; rows fill from the left. Control characters become blanks: no cell breaks a line or moves the cursor. */
void text_table_cell(struct text_table *t, struct view text);
/* Each cell with the blanks behind it, the last one of a row too, as Go's tabwriter has it. */
void text_table_print(const struct text_table *t, FILE *out);
void text_table_deinit(struct text_table *t);

#endif
