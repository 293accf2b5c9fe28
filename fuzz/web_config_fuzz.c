/* SPDX-License-Identifier: Apache-2.0 */
/* web_config_fuzz.c: any bytes as a web configuration (no file is read): refused with a sentence, or users whose
 * hashes and headers whose values hold what the header promises. */
#include "access/password.h"
#include "access/web_config.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct web_config *config;
    struct error err;
    if (!web_config_parse(&config, (struct view){(const char *)data, size}, NULL, &err)) {
        ASSERT(err.message[0] != '\0' && config == NULL);
        return 0;
    }
    for (size_t i = 0; i < config->user_count; i++) {
        unsigned cost;
        ASSERT(password_hash_check(secret_reveal(&config->users[i].hash), &cost, &err));
        ASSERT(cost <= PASSWORD_COST_MAX && config->users[i].role >= HTTP_ROLE_VIEW);
    }
    for (size_t i = 0; i < config->header_count; i++)
        for (size_t k = 0; k < config->headers[i].value.len; k++)
            ASSERT((unsigned char)config->headers[i].value.ptr[k] >= 0x20);
    web_config_unref(config);
    return 0;
}
