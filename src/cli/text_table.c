/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text_table.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

enum { TABLE_BYTES_MAX = 1 << 30, PADDING = 2 };

void text_table_init(struct text_table *t, const char *heads)
{
    memset(t, 0, sizeof *t);
    buffer_init(&t->text, MEM_OTHER, TABLE_BYTES_MAX);
    while (*heads) {
        size_t bytes = strcspn(heads, "\t");
        text_table_cell(t, (struct view){heads, bytes});
        heads += bytes + (heads[bytes] != '\0');
    }
    t->columns = t->count;
    ASSERT(t->columns > 0 && t->columns <= TEXT_TABLE_COLUMNS_MAX);
}

void text_table_cell(struct text_table *t, struct view text)
{
    size_t from = t->text.len;
    buffer_append_view(&t->text, text);
    for (size_t i = from; i < t->text.len; i++)
        if ((unsigned char)t->text.ptr[i] < 0x20 || t->text.ptr[i] == 0x7f)
            t->text.ptr[i] = ' ';
    t->ends = mem_grow(MEM_OTHER, t->ends, &t->capacity, t->count + 1, sizeof *t->ends);
    t->ends[t->count++] = t->text.len;
}

static struct view cell_at(const struct text_table *t, size_t idx)
{
    return view_slice(buffer_view(&t->text), idx ? t->ends[idx - 1] : 0, t->ends[idx]);
}

/* In characters: bytes that continue one do not count. */
static size_t width_of(struct view text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

void text_table_print(const struct text_table *t, FILE *out)
{
    size_t widths[TEXT_TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->count; i++) {
        size_t width = width_of(cell_at(t, i));
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
    for (size_t i = 0; i < t->count; i++) {
        struct view cell = cell_at(t, i);
        size_t column = i % t->columns;
        fwrite(cell.ptr, 1, cell.len, out);
        fprintf(out, "%*s%s", (int)(widths[column] + PADDING - width_of(cell)), "",
                column + 1 == t->columns ? "\n" : "");
    }
}

void text_table_deinit(struct text_table *t)
{
    buffer_deinit(&t->text);
    mem_free(MEM_OTHER, t->ends);
}
