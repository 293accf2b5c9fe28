/* SPDX-License-Identifier: Apache-2.0 */
/* letters.c: see letters.h. Unicode's tables are libunistring's. */
#include "template/letters.h"

#include "base/utf8.h"

#include <unicase.h>
#include <unictype.h>
#include <uniwbrk.h>

static bool is_ascii_word(unsigned char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_letter(uint32_t code)
{
    return uc_is_general_category(code, UC_CATEGORY_L);
}

size_t letters_prefix(struct view text)
{
    size_t pos = 0;
    while (pos < text.len) {
        unsigned char c = (unsigned char)text.ptr[pos];
        if (c < 0x80) {
            if (!is_ascii_word(c))
                break;
            pos++;
            continue;
        }
        size_t next = pos;
        uint32_t code = utf8_next(text, &next);
        if (code == UINT32_MAX ||
            (!is_letter(code) && !uc_is_general_category(code, UC_CATEGORY_Nd)))
            break;
        pos = next;
    }
    return pos;
}

static void append_code(struct buffer *out, uint32_t code)
{
    char bytes[4];
    buffer_append(out, bytes, utf8_put(code == UINT32_MAX ? 0xfffd : code, bytes));
}

void letters_convert(struct buffer *out, struct view text, enum letters_case to)
{
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = utf8_next(text, &pos);
        if (code != UINT32_MAX)
            code = to == LETTERS_UPPER ? uc_toupper(code) : uc_tolower(code);
        append_code(out, code);
    }
}

/* What may stand inside a word between two letters without ending it (MidLetter and MidNumLet of UAX 29). */
static bool joins_letters(uint32_t code)
{
    int property = uc_wordbreak_property(code);
    return property == WBP_MIDLETTER || property == WBP_MIDNUMLET || property == WBP_SQ;
}

static bool continues_word(uint32_t code)
{
    return code == '_' || is_letter(code) || uc_is_general_category(code, UC_CATEGORY_N) ||
           uc_is_general_category(code, UC_CATEGORY_M);
}

void letters_title(struct buffer *out, struct view text, bool lower)
{
    bool inside = false; /* a word whose first letter has been written */
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = utf8_next(text, &pos);
        if (code == UINT32_MAX) {
            append_code(out, code);
            inside = false;
        } else if (!inside && is_letter(code)) {
            append_code(out, uc_totitle(code));
            inside = true;
        } else if (is_letter(code)) {
            append_code(out, lower ? uc_tolower(code) : code);
        } else {
            append_code(out, code);
            size_t peek = pos;
            bool letter_follows = pos < text.len && is_letter(utf8_next(text, &peek));
            if (!continues_word(code) && !(inside && joins_letters(code) && letter_follows))
                inside = false;
        }
    }
}
