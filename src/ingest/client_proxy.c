/* SPDX-License-Identifier: Apache-2.0 */
/* client_proxy.c: which proxy a URL is reached by: what the configuration says with the rules of net/proxy.h. */
#include "ingest/client.h"

#include "base/mem.h"
#include "net/proxy.h"

#include <string.h>

void client_proxy_for(const struct config_proxy *proxy, const char *url, struct buffer *out)
{
    struct view use = proxy->url, no_proxy = proxy->no_proxy;
    char *host = NULL, *port = NULL;
    CURLU *parts;
    if (proxy->from_environment) {
        use = view_from(proxy_environment(strncmp(url, "https:", 6) == 0));
        no_proxy = view_from(proxy_environment_no_proxy());
    }
    if (use.len == 0)
        return;
    bool all = !proxy->from_environment && no_proxy.len == 0, without = false;
    parts = all ? NULL : curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        without = proxy_is_loopback(view_from(host)) ||
                  proxy_no_proxy_matches(no_proxy, view_from(host), view_from(port));
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    if (!without)
        buffer_append_view(out, use);
}
