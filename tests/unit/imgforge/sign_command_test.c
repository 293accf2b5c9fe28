/* SPDX-License-Identifier: Apache-2.0 */
/* sign_command_test.c: what the command prints; the first signatures are imgproxy's, of the specification. */
#include "sign_command.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SALT "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define FIRST "PKxE3p6iOiTbhKVxt2V_3h-In3M9wV3LuFg21v4R9Ec"
#define SECOND "TYNJw8jvE3jrjbuVdb43yDuGATYRU6RPw2d1Unje2YA"
#define PLAIN "/rs:fit:320:240/q:70/plain/http://origin.test/a.png@webp"
#define ENCODED "/pr:thumb/aHR0cDovL29yaWdpbi50ZXN0L2EucG5n.jpg"

static const struct {
    const char *words[8];
    int status;
    const char *text; /* of stdout; what stderr has a part of */
} CASES[] = {
    {{PLAIN}, 0, "/" FIRST PLAIN "\n"},
    {{ENCODED}, 0, "/" SECOND ENCODED "\n"},
    {{PLAIN, ENCODED}, 0, "/" FIRST PLAIN "\n/" SECOND ENCODED "\n"},
    {{"--encode", "/pr:thumb/plain/http://origin.test/a.png@jpg"}, 0, "/" SECOND ENCODED "\n"},
    {{"--encode", ENCODED}, 0, "/" SECOND ENCODED "\n"},
    {{"--base", "https://img.test/x/", ENCODED}, 0, "https://img.test/x/" SECOND ENCODED "\n"},
    {{"--base=https://img.test", ENCODED}, 0, "https://img.test/" SECOND ENCODED "\n"},
    {{"--key", KEY ",ff", "--salt=" SALT ",ff", ENCODED}, 0, "/" SECOND ENCODED "\n"},
    {{"--encode", "http://a.test/b?c=d@e#f"},
     0,
     "/teWUVpd0f3_aMPYqiswMPmVM95OWn2TQSkLoKw5Esmk/aHR0cDovL2EudGVzdC9iP2M9ZEBlI2Y\n"},
    {{"https://a.test/b c?d@e%20"},
     0,
     "/OAARtgOlLYYhDGWGj7RUW6w4b22CT4WJpe1BU2sp48I/plain/https://a.test/b%20c%3Fd%40e%2520\n"},
    {{NULL}, 2, "no path is given"},
    {{"rs:fit:1:1/plain/x"}, 2, "a path begins with a slash"},
    {{"/plain"}, 2, "Invalid URL format"},
    {{"/rs:fit:1:1"}, 2, "Invalid URL format"},
    {{"/plain/%zz"}, 2, "Error decoding URL"},
    {{"--kez", KEY, ENCODED}, 2, "--kez: unknown flag"},
    {{"--key"}, 2, "--key: a value is missing"},
    {{"--key", "xyz", ENCODED}, 2, "key and salt: pairs of hexadecimal digits"},
    {{"--key", "", ENCODED}, 2, "IMGFORGE_KEY and IMGFORGE_SALT"},
    {{"--salt", SALT "," SALT, ENCODED}, 2, "as many keys as salts"},
    {{"--help"}, 0, "Usage: imgforge sign"},
};

/* Runs it with stdout and stderr in a file. */
static int run(char **words, int count, char *out, size_t size)
{
    const struct sign_defaults defaults = {secret_from(VIEW(KEY)), secret_from(VIEW(SALT)), 32};
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    fflush(stderr);
    int kept_out = dup(1), kept_err = dup(2);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    int status = sign_command(&defaults, count, words);
    fflush(stdout);
    fflush(stderr);
    dup2(kept_out, 1);
    dup2(kept_err, 2);
    close(kept_out);
    close(kept_err);
    rewind(file);
    size_t len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    fclose(file);
    return status;
}

static void paths_are_signed_as_the_service_verifies_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char *words[8];
        char out[4096];
        int count = 0;
        for (; count < 8 && CASES[i].words[count]; count++)
            words[count] = (char *)CASES[i].words[count];
        int status = run(words, count, out, sizeof(out));
        bool is_right = CASES[i].status || strcmp(CASES[i].words[0], "--help") == 0
                            ? strstr(out, CASES[i].text) != NULL
                            : strcmp(out, CASES[i].text) == 0;
        if (status != CASES[i].status || !is_right)
            fail_msg("case %zu: status %d, \"%s\"", i, status, out);
        assert_null(strstr(out, "00010203")); /* no key in a message */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_signed_as_the_service_verifies_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
