/* SPDX-License-Identifier: Apache-2.0 */
#include "access/password.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/random.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>

enum { SETTING_BYTES = 29 /* "$2b$10$" and 22 characters of salt */ };

static bool is_bcrypt_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '/';
}

bool password_hash_check(struct view hash, unsigned *cost, struct error *err)
{
    const char *p = hash.ptr;
    bool ok = hash.len == PASSWORD_HASH_BYTES - 1 && p[0] == '$' && p[1] == '2' &&
              (p[2] == 'a' || p[2] == 'b' || p[2] == 'y') && p[3] == '$' && p[4] >= '0' &&
              p[4] <= '3' && p[5] >= '0' && p[5] <= '9' && p[6] == '$';
    for (size_t i = 7; ok && i < hash.len; i++)
        ok = is_bcrypt_character(p[i]);
    if (!ok)
        return error_set(err, ERROR_INPUT,
                         "the password's hash is not bcrypt's: expected $2a$, $2b$ or $2y$, the "
                         "cost, and 53 characters");
    *cost = (unsigned)(p[4] - '0') * 10 + (unsigned)(p[5] - '0');
    if (*cost < PASSWORD_COST_MIN || *cost > PASSWORD_COST_MAX)
        return error_set(err, ERROR_INPUT, "the hash has cost %u, expected %d to %d", *cost,
                         PASSWORD_COST_MIN, PASSWORD_COST_MAX);
    return true;
}

/* The hash of a text of at most PASSWORD_BYTES_MAX bytes; empty when libcrypt refuses. */
static void bcrypt(const char *setting, struct view password, char out[PASSWORD_HASH_BYTES])
{
    char phrase[PASSWORD_BYTES_MAX + 1] = {0};
    struct crypt_data *data = mem_alloc_zero(MEM_HTTP, 1, sizeof *data); /* 32 KiB */
    ASSERT(password.len < sizeof phrase);
    if (password.len)
        memcpy(phrase, password.ptr, password.len);
    const char *hash = crypt_rn(phrase, setting, data, sizeof *data);
    out[0] = '\0';
    if (hash && strlen(hash) < PASSWORD_HASH_BYTES)
        memcpy(out, hash, strlen(hash) + 1);
    explicit_bzero(phrase, sizeof phrase);
    explicit_bzero(data, sizeof *data);
    mem_free(MEM_HTTP, data);
}

/* What libcrypt would cut short is no password; it is hashed all the same, as nothing, for the time it takes. */
static bool is_whole(struct view password)
{
    return password.len <= PASSWORD_BYTES_MAX &&
           (password.len == 0 || memchr(password.ptr, '\0', password.len) == NULL);
}

bool password_matches(struct view hash, struct view password)
{
    char setting[PASSWORD_HASH_BYTES] = {0}, got[PASSWORD_HASH_BYTES];
    ASSERT(hash.len == PASSWORD_HASH_BYTES - 1);
    memcpy(setting, hash.ptr, hash.len);
    bool whole = is_whole(password);
    bcrypt(setting, whole ? password : VIEW(""), got);
    bool same = strlen(got) == hash.len && gnutls_memcmp(got, hash.ptr, hash.len) == 0;
    return same && whole;
}

void password_pretend(unsigned cost, struct view password)
{
    char setting[SETTING_BYTES + 1], got[PASSWORD_HASH_BYTES];
    (void)snprintf(setting, sizeof setting, "$2b$%02u$......................", cost % 100);
    bcrypt(setting, is_whole(password) ? password : VIEW(""), got);
}

bool password_hash_new(struct view password, char out[PASSWORD_HASH_BYTES], struct error *err)
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (password.len < PASSWORD_NEW_BYTES_MIN || password.len > PASSWORD_NEW_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "the password has %zu bytes, expected %d to %d",
                         password.len, PASSWORD_NEW_BYTES_MIN, PASSWORD_NEW_BYTES_MAX);
    if (!is_whole(password))
        return error_set(err, ERROR_INPUT, "the password holds a NUL");
    random_secret(salt, sizeof salt);
    if (crypt_gensalt_rn("$2b$", PASSWORD_COST_NEW, salt, sizeof salt, setting, sizeof setting) ==
        NULL)
        return error_set(err, ERROR_INTERNAL, "libcrypt has no bcrypt");
    bcrypt(setting, password, out);
    return out[0] == '$' || error_set(err, ERROR_INTERNAL, "libcrypt could not hash");
}
