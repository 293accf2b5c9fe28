/* SPDX-License-Identifier: Apache-2.0 */
/* http.h (libbelfry-http): a registry served to those who scrape it.
 *
 *     belfry_endpoint *endpoint;
 *     belfry_http_error why;
 *     const char *address = "127.0.0.1:9464";
 *     belfry_endpoint_options options = {.addresses = &address, .address_count = 1};
 *     if (belfry_endpoint_start(&endpoint, &options, &why) != BELFRY_OK)
 *         fprintf(stderr, "no metrics: %s\n", why.message);
 *
 * Three ways in: an endpoint with listeners and a thread of its own, an answer for a connection of the program's
 * libmicrohttpd, and an answer as plain bytes for any other server. All of them serve /metrics (the format by Accept,
 * gzip and zstd by Accept-Encoding, families chosen by name[]), /health and /ready.
 *
 * Nothing here ends or prints from its host. What cannot be done is returned with a sentence. */
#ifndef BELFRY_HTTP_H
#define BELFRY_HTTP_H

#include <belfry/export.h>
#include <belfry/health.h>
#include <belfry/metrics.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct MHD_Connection; /* <microhttpd.h> */

/* Why a call failed: lower case, no full stop, never with a secret in it. Always terminated. */
typedef struct belfry_http_error {
    char message[256];
} belfry_http_error;

/* ---- what is served ---- */

typedef struct belfry_http belfry_http;

/* Zero is the default of everything. Strings are copied. */
typedef struct belfry_http_options {
    belfry_registry *registry; /* NULL = the default one. Outlives what serves it */
    /* NULL = "/metrics", "/health", "/ready"; "" = not served */
    const char *metrics_path, *health_path, *ready_path;
    /* Who asks for metrics must send this token, or this name and password; either is enough where both are set. NULL
     * or "" = not asked for. A name needs a password and the other way round. */
    const char *bearer_token, *username, *password;
    bool protect_probes; /* /health and /ready ask for them too */
    /* Answers /health and /ready; outlives what serves it. NULL: the process answers, so it is healthy and ready, as
     * `service` of `version` (NULL = left out). */
    belfry_health *health;
    const char *service, *version;
    size_t answer_bytes_max; /* of an answer that is held whole (not an endpoint's); 0 = 64 MiB */
} belfry_http_options;

/* On error *out is NULL (requests are then answered with 500) and *error, when not NULL, says why. Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_http_new(belfry_http **out,
                                                         const belfry_http_options *options,
                                                         belfry_http_error *error);
/* Nobody may use it any more. NULL does nothing. */
BELFRY_API void belfry_http_free(belfry_http *http);

/* ---- inside another server ---- */

/* What is asked, as the request has it; NULL = the header is not there. Borrowed during the call. */
typedef struct belfry_http_request {
    const char *method; /* "GET", "HEAD"; others are refused */
    const char *target; /* "/metrics?name[]=up"; percent-encoded as it came */
    const char *accept, *accept_encoding, *authorization;
} belfry_http_request;

typedef struct belfry_http_header {
    const char *name, *value;
} belfry_http_header;

enum { BELFRY_HTTP_HEADERS_MAX = 8 };

/* Headers with Content-Type, without Content-Length. */
typedef struct belfry_http_answer {
    int status;
    belfry_http_header headers[BELFRY_HTTP_HEADERS_MAX];
    size_t header_count;
    char *body; /* compressed as the headers say; NULL when body_bytes is 0 */
    size_t body_bytes;
} belfry_http_answer;

/* Is this path (without a query) one of the three? */
BELFRY_API bool belfry_http_serves(const belfry_http *http, const char *path);
/* Fills *out, whatever is asked: refusals (401, 404, 405, 500) are answers too. The body is the caller's:
 * belfry_http_answer_release(). Any thread, at the same time too. */
BELFRY_API void belfry_http_answer_make(belfry_http *http, const belfry_http_request *request,
                                        belfry_http_answer *out);
/* Frees the body and empties it. NULL does nothing. */
BELFRY_API void belfry_http_answer_release(belfry_http_answer *answer);
/* Queues the answer to a request of the program's own libmicrohttpd, from its access handler; `url` and `method` as
 * the handler got them. Returns what the handler returns: 1 (MHD_YES), or 0 without memory. */
BELFRY_API int belfry_http_answer_mhd(belfry_http *http, struct MHD_Connection *connection,
                                      const char *url, const char *method);

/* ---- a listener of its own ---- */

typedef struct belfry_endpoint belfry_endpoint;

typedef struct belfry_endpoint_options {
    belfry_http_options http;
    /* "127.0.0.1:9464", "[::1]:9464", "localhost:0" (port chosen), ":9464" (all, IPv6 and IPv4), "unix:/run/x.sock" */
    const char *const *addresses;
    size_t address_count;
    /* PEM files; both or none. They are read anew when they change; if that fails the old ones serve on and
     * belfry_endpoint_stats has it. client_ca_file: only clients with a certificate that it signed. */
    const char *certificate_file, *key_file, *client_ca_file;
    unsigned
        connections_max;  /* of all listeners; 0 = 64. One more takes the place of a silent one */
    unsigned scrapes_max; /* written at the same time, others get 503; 0 = 4 */
    /* From connecting to the end of a request's headers; 0 = 10 s */
    unsigned request_timeout_ms;
    /* A whole answer; 0 = 60 s. Where X-Prometheus-Scrape-Timeout-Seconds says less, that. */
    unsigned answer_timeout_ms;
    unsigned idle_timeout_ms; /* a kept connection without a request; 0 = 5 min */
} belfry_endpoint_options;

/* Opens the listeners and starts a thread that serves them; another one per scrape at the same time follows, up to
 * scrapes_max. An answer is written while it is sent, through 64 KiB: a large registry or a slow client takes no
 * memory. On error nothing is left open and *out is NULL, which the other calls take: no address, port 0, zeros.
 *
 * After fork() the child does not serve: its copies of the listening sockets are closed, and stopping the endpoint there
 * frees nothing. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_endpoint_start(
    belfry_endpoint **out, const belfry_endpoint_options *options, belfry_http_error *error);
/* Closes listeners and connections, joins the threads (bounded: collectors that are running must end), frees. NULL does
 * nothing. */
BELFRY_API void belfry_endpoint_stop(belfry_endpoint *endpoint);
/* "127.0.0.1:41234": of listener idx, with the port that was chosen; NULL past the last. Valid until stop. */
BELFRY_API const char *belfry_endpoint_address(const belfry_endpoint *endpoint, size_t idx);
/* The port of listener idx; 0 past the last and for unix sockets. */
BELFRY_API uint16_t belfry_endpoint_port(const belfry_endpoint *endpoint, size_t idx);

typedef struct belfry_endpoint_stats {
    uint64_t connections_total, requests_total;
    uint64_t scrapes_total;   /* answered with metrics, to the last byte */
    uint64_t scrapes_refused; /* too many at once */
    uint64_t scrapes_failed; /* began, and were cut off: the client left, was too slow, no memory */
    uint64_t denied;         /* no or wrong credentials */
    uint64_t timeouts;       /* connections cut because something took too long */
    uint64_t certificate_errors; /* changed files that could not be used */
    unsigned connections_open, scrapes_running;
} belfry_endpoint_stats;

/* Any thread. */
BELFRY_API void belfry_endpoint_stats_get(const belfry_endpoint *endpoint,
                                          belfry_endpoint_stats *out);

#ifdef __cplusplus
}
#endif

#endif
