/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_url_fuzz.c: any text as a stranger's URL. What is taken has a host, a port, no user, and the same host and
 * class when its own text is parsed again. */
#include "base/assert.h"
#include "net/outgoing_url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct outgoing_url *u)
{
    struct outgoing_url again;
    struct error err;
    char *text = NULL;
    struct sockaddr_storage a = {0}, b = {0};
    if (curl_url_get(u->parts, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return;
    if (strlen(text) <= OUTGOING_URL_BYTES_MAX && outgoing_url_init(&again, text, &err)) {
        ASSERT(strcasecmp(u->host, again.host) == 0);
        bool is_address = outgoing_url_address(u, &a);
        ASSERT(is_address == outgoing_url_address(&again, &b));
        ASSERT(!is_address ||
               address_class_of((struct sockaddr *)&a) == address_class_of((struct sockaddr *)&b));
        outgoing_url_deinit(&again);
    }
    curl_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outgoing_url u;
    struct error err = {0};
    char *text = malloc(size + 1), *user = NULL;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (outgoing_url_init(&u, text, &err)) {
        ASSERT(u.host[0] != '\0' && strlen(u.host) <= OUTGOING_HOST_BYTES_MAX);
        ASSERT(u.port[0] != '\0' && strcmp(u.port, "0") != 0);
        ASSERT(curl_url_get(u.parts, CURLUPART_USER, &user, 0) != CURLUE_OK);
        check_again(&u);
        outgoing_url_deinit(&u);
    } else {
        ASSERT(err.message[0] != '\0');
    }
    free(text);
    return 0;
}
