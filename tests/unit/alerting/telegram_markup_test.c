/* SPDX-License-Identifier: Apache-2.0 */
/* telegram_markup_test.c: HTML for Telegram is cut without breaking it, and read as text. */
#include "alerting/telegram_markup.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *html;
    size_t runes, bytes;
    const char *cut, *plain;
} CASES[] = {
    {"short", 10, 100, "short", "short"},
    {"", 10, 100, "", ""},
    {"exactly 10", 10, 100, "exactly 10", "exactly 10"},
    {"more than 10", 10, 100, "more than…", "more than 10"},
    /* what is not seen does not count */
    {"<b>bold</b> text", 9, 100, "<b>bold</b> text", "bold text"},
    {"a &lt; b &amp;&quot;&#65;", 9, 100, "a &lt; b &amp;&quot;&#65;", "a < b &\"A"},
    {"a &lt b&#x41;&#x41", 6, 100, "a &lt b…", "a < bAA"},
    /* no entities: text */
    {"&nbsp;&#0;&#;& &#55296;", 30, 100, "&nbsp;&#0;&#;& &#55296;", "&nbsp;&#0;&#;& &#55296;"},
    /* what is open is closed */
    {"<b>bold <i>and italic</i></b>", 10, 100, "<b>bold <i>and …</i></b>", "bold and italic"},
    {"<a href=\"http://x/?a=b&amp;c\">a link</a> behind", 4, 100,
     "<a href=\"http://x/?a=b&amp;c\">a l…</a>", "a link behind"},
    {"<b>one</b> two", 3, 100, "<b>on…</b>", "one two"},
    {"<tg-spoiler>hidden</tg-spoiler>", 3, 100, "<tg-spoiler>hi…</tg-spoiler>", "hidden"},
    /* bytes: what is closed has its room */
    {"<code>0123456789012345678901234567890123456789</code>", 100, 30,
     "<code>01234567890123…</code>", "0123456789012345678901234567890123456789"},
    {"äöü€äöü", 5, 100, "äöü€…", "äöü€äöü"},
    {"äöü€äöü", 50, 10, "äöü…", "äöü€äöü"},
    /* a '<' that is none */
    {"1 < 2 and more", 6, 100, "1 < 2…", "1 < 2 and more"},
    {"</b>odd</i></u>", 2, 100, "</b>o…", "odd"},
};

static void cuts_and_reads(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct view html = view_from(CASES[i].html);
        struct view cut = telegram_cut_html(&arena, html, CASES[i].runes, CASES[i].bytes);
        struct view plain = telegram_plain_text(&arena, html);
        if (!view_is(cut, CASES[i].cut))
            fail_msg("%s: cut \"%.*s\"", CASES[i].html, VIEW_ARGS(cut));
        if (!view_is(plain, CASES[i].plain))
            fail_msg("%s: plain \"%.*s\"", CASES[i].html, VIEW_ARGS(plain));
    }
    arena_deinit(&arena);
}

/* Deeper than what is followed: no byte beside the text is read, and the limits hold. */
static void deep_nesting_is_survived(void **state)
{
    struct arena arena;
    char text[4000] = "";
    (void)state;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < 500; i++)
        memcpy(text + i * 4, "<b>x", 4);
    struct view cut = telegram_cut_html(&arena, (struct view){text, 2000}, 100, 3000);
    assert_true(cut.len < 1000);
    cut = telegram_cut_html(&arena, (struct view){text, 2000}, 1000, 700);
    assert_true(cut.len <= 700);
    assert_int_equal(telegram_plain_text(&arena, (struct view){text, 2000}).len, 500);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_and_reads),
        cmocka_unit_test(deep_nesting_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
