/* SPDX-License-Identifier: Apache-2.0 */
/* discover_dns.c: dns_sd: targets are the records of names. All names of an entry are asked at once; a name that
 * cannot be looked up keeps what it had, one that does not exist (any more) has no targets.
 *
 * Each refresh has a c-ares channel of its own, so that a changed resolv.conf is seen, and ends when all names have
 * been answered or given up. */
#include "ingest/discover_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

enum { TRY_MS = 2000, TRIES = 3, ADDRESSES_MAX = 4096 /* of one answer; a message has 64 KiB */ };

struct query {
    struct discover_provider *provider;
    size_t idx;
    struct target_groups *groups; /* last good; NULL: none yet */
    uint64_t hash;                /* of what it says */
};

struct state {
    struct query *queries; /* by name */
    size_t count, pending;
    ares_channel channel; /* NULL: idle */
    bool failed;          /* one of the names, in the refresh at hand */
    struct error err;     /* why */
};

static const char *test_servers; /* tests only; set before there are threads */

void discover_dns_test_set_servers(const char *csv)
{
    test_servers = csv;
}

static void key(const void *settings, struct buffer *out)
{
    const struct config_dns_sd *sd = settings;
    buffer_append_string(out, sd->type);
    buffer_append_u64(out, (uint64_t)sd->port);
    for (size_t i = 0; i < sd->names.count; i++)
        buffer_append_string(out, sd->names.items[i]);
}

static int64_t interval_ms(const void *settings)
{
    return ((const struct config_dns_sd *)settings)->refresh_interval_ms;
}

static const struct record_type {
    const char *word;
    int type;
} TYPES[] = {
    {"SRV", ns_t_srv}, {"A", ns_t_a}, {"AAAA", ns_t_aaaa}, {"MX", ns_t_mx}, {"NS", ns_t_ns}};

static int type_of(const struct config_dns_sd *sd)
{
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        if (view_is_any_case(sd->type, TYPES[i].word))
            return TYPES[i].type;
    }
    UNREACHABLE(); /* the configuration was checked */
}

/* ---- records ---- */

static struct label label_of(struct arena *arena, const char *name, struct view value)
{
    return (struct label){view_from(name), arena_copy(arena, value)};
}

/* One record: host (without its last dot) and port; `record_label` (NULL: none) has the host as it came, and SRV its
 * port, too. */
static void add(struct target_groups *g, size_t *capacity, struct view queried, const char *host,
                int64_t port, const char *record_label)
{
    struct view bare = view_from(host), full = bare;
    while (bare.len && bare.ptr[bare.len - 1] == '.')
        bare.len--;
    if (full.len == bare.len && record_label)
        full = arena_printf(&g->arena, "%.*s.", VIEW_ARGS(full)); /* c-ares takes it off */
    g->groups.items = arena_grow(&g->arena, g->groups.items, capacity, g->groups.count + 1,
                                 sizeof *g->groups.items);
    struct config_target_group *group = &g->groups.items[g->groups.count++];
    struct label *labels = ARENA_ARRAY(&g->arena, struct label, 3);
    uint32_t count = 0;
    bool srv = record_label && strstr(record_label, "srv");
    if (record_label && strstr(record_label, "mx"))
        labels[count++] = label_of(&g->arena, record_label, full);
    labels[count++] = label_of(&g->arena, "__meta_dns_name", queried);
    if (srv)
        labels[count++] = label_of(&g->arena, "__meta_dns_srv_record_port",
                                   arena_printf(&g->arena, "%lld", (long long)port));
    if (record_label && !strstr(record_label, "mx"))
        labels[count++] = label_of(&g->arena, record_label, full);
    *group = (struct config_target_group){.targets = {ARENA_ARRAY(&g->arena, struct view, 1), 1},
                                          .labels = {labels, count}};
    bool six = memchr(bare.ptr, ':', bare.len) != NULL;
    group->targets.items[0] = arena_printf(&g->arena, six ? "[%.*s]:%lld" : "%.*s:%lld",
                                           VIEW_ARGS(bare), (long long)port);
    g->target_count++;
}

/* What is in an answer: a status of c-ares. */
static int read_answer(struct target_groups *g, const struct config_dns_sd *sd, struct view name,
                       const unsigned char *bytes, int len)
{
    size_t capacity = 0;
    int type = type_of(sd), status;
    char text[INET6_ADDRSTRLEN];
    if (type == ns_t_srv) {
        struct ares_srv_reply *list = NULL;
        status = ares_parse_srv_reply(bytes, len, &list);
        for (struct ares_srv_reply *r = list; r; r = r->next)
            add(g, &capacity, name, r->host, r->port, "__meta_dns_srv_record_target");
        ares_free_data(list);
    } else if (type == ns_t_mx) {
        struct ares_mx_reply *list = NULL;
        status = ares_parse_mx_reply(bytes, len, &list);
        for (struct ares_mx_reply *r = list; r; r = r->next)
            add(g, &capacity, name, r->host, sd->port, "__meta_dns_mx_record_target");
        ares_free_data(list);
    } else if (type == ns_t_ns) {
        struct hostent *host = NULL;
        status = ares_parse_ns_reply(bytes, len, &host);
        for (size_t i = 0; host && host->h_aliases[i]; i++)
            add(g, &capacity, name, host->h_aliases[i], sd->port, "__meta_dns_ns_record_target");
        ares_free_hostent(host);
    } else if (type == ns_t_a) {
        int count = ADDRESSES_MAX;
        struct ares_addrttl *list = mem_alloc_zero(MEM_SCRAPE, ADDRESSES_MAX, sizeof *list);
        status = ares_parse_a_reply(bytes, len, NULL, list, &count);
        for (int i = 0; status == ARES_SUCCESS && i < count; i++)
            add(g, &capacity, name, inet_ntop(AF_INET, &list[i].ipaddr, text, sizeof text),
                sd->port, NULL);
        mem_free(MEM_SCRAPE, list);
    } else {
        int count = ADDRESSES_MAX;
        struct ares_addr6ttl *list = mem_alloc_zero(MEM_SCRAPE, ADDRESSES_MAX, sizeof *list);
        status = ares_parse_aaaa_reply(bytes, len, NULL, list, &count);
        for (int i = 0; status == ARES_SUCCESS && i < count; i++)
            add(g, &capacity, name, inet_ntop(AF_INET6, &list[i].ip6addr, text, sizeof text),
                sd->port, NULL);
        mem_free(MEM_SCRAPE, list);
    }
    return status == ARES_ENODATA ? ARES_SUCCESS : status;
}

static int group_compare(const void *a, const void *b)
{
    return view_cmp(((const struct config_target_group *)a)->targets.items[0],
                    ((const struct config_target_group *)b)->targets.items[0]);
}

/* Servers turn records round: in order, the same records are the same list. */
static uint64_t groups_sort(struct target_groups *g)
{
    struct buffer seen;
    if (g->groups.count)
        qsort(g->groups.items, g->groups.count, sizeof *g->groups.items, group_compare);
    buffer_init(&seen, MEM_SCRAPE, SIZE_MAX / 2);
    for (size_t i = 0; i < g->groups.count; i++)
        buffer_append_string(&seen, g->groups.items[i].targets.items[0]);
    uint64_t hash = hash64_view(buffer_view(&seen));
    buffer_deinit(&seen);
    return hash;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct query *q = arg;
    struct discover_provider *p = q->provider;
    struct state *s = p->state;
    const struct config_dns_sd *sd = p->settings;
    ASSERT(s->pending > 0);
    s->pending--;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        return; /* given up: nothing was learnt, and the settings may be gone */
    struct view name = sd->names.items[q->idx];
    struct target_groups *g = target_groups_new();
    DISCOVER_COUNT(discover_counters(p->discover)->dns_lookups, 1);
    if (status == ARES_SUCCESS)
        status = read_answer(g, sd, name, bytes, len);
    else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        status = ARES_SUCCESS; /* there is no such name: it has no targets */
    if (status != ARES_SUCCESS) {
        DISCOVER_COUNT(discover_counters(p->discover)->dns_failures, 1);
        s->failed = true;
        error_set(&s->err, ERROR_UNAVAILABLE, "could not look up \"%.*s\": %s",
                  VIEW_ARGS(view_slice(name, 0, 255)), ares_strerror(status));
        target_groups_unref(g);
        return;
    }
    uint64_t hash = groups_sort(g);
    if (q->groups && q->hash == hash) {
        target_groups_unref(g);
        return;
    }
    target_groups_unref(q->groups);
    q->groups = g;
    q->hash = hash;
}

/* ---- a refresh ---- */

static void settle(struct discover_provider *p)
{
    struct state *s = p->state;
    struct target_groups **sets = mem_alloc_zero(MEM_SCRAPE, s->count + 1, sizeof *sets);
    size_t count = 0;
    bool any = false;
    p->busy = false;
    if (s->channel)
        ares_destroy(s->channel);
    s->channel = NULL;
    for (size_t i = 0; i < s->count; i++) {
        any |= s->queries[i].groups != NULL;
        if (s->queries[i].groups)
            sets[count++] = target_groups_ref(s->queries[i].groups);
    }
    if (any)
        discover_push(p, sets, count);
    mem_free(MEM_SCRAPE, sets);
    if (s->failed)
        discover_failed(p, any ? "the last targets stay" : "it has no targets", &s->err);
    else
        discover_succeeded(p);
}

static void refresh(struct discover_provider *p, bool first)
{
    struct state *s = p->state;
    const struct config_dns_sd *sd = p->settings;
    struct ares_options options = {.timeout = TRY_MS, .tries = TRIES};
    if (!s->queries) {
        s->count = sd->names.count;
        s->queries = mem_alloc_zero(MEM_SCRAPE, s->count + 1, sizeof *s->queries);
        for (size_t i = 0; i < s->count; i++)
            s->queries[i] = (struct query){.provider = p, .idx = i};
    }
    s->failed = false;
    p->busy = true;
    int status = ares_init_options(&s->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status == ARES_SUCCESS && test_servers)
        status = ares_set_servers_ports_csv(s->channel, test_servers);
    if (status != ARES_SUCCESS) {
        s->failed = true;
        error_set(&s->err, ERROR_UNAVAILABLE, "could not set up DNS: %s", ares_strerror(status));
        settle(p);
        return;
    }
    s->pending = s->count;
    for (size_t i = 0; i < s->count; i++) /* texts of YAML end with a NUL */
        ares_search(s->channel, sd->names.items[i].ptr, ns_c_in, type_of(sd), on_answer,
                    &s->queries[i]);
    if (s->pending == 0)
        settle(p);
}

/* As ARES_GETSOCK_READABLE and _WRITABLE, which shift into the sign. */
static bool readable(unsigned bits, int i)
{
    return bits & 1u << i;
}

static bool writable(unsigned bits, int i)
{
    return bits & 1u << (i + ARES_GETSOCK_MAXNUM);
}

static size_t waits(struct discover_provider *p, struct curl_waitfd *fds, size_t max, int *wait_ms)
{
    struct state *s = p->state;
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct timeval longest = {.tv_sec = *wait_ms / 1000, .tv_usec = *wait_ms % 1000 * 1000}, left;
    size_t count = 0;
    if (!s->channel)
        return 0;
    unsigned bits = (unsigned)ares_getsock(s->channel, sockets, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM && count < max; i++) {
        short events = (short)((readable(bits, i) ? CURL_WAIT_POLLIN : 0) |
                               (writable(bits, i) ? CURL_WAIT_POLLOUT : 0));
        if (events)
            fds[count++] = (struct curl_waitfd){.fd = sockets[i], .events = events};
    }
    const struct timeval *wait = ares_timeout(s->channel, &longest, &left);
    *wait_ms = (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
    return count;
}

static void work(struct discover_provider *p)
{
    struct state *s = p->state;
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    if (!s->channel)
        return;
    unsigned bits = (unsigned)ares_getsock(s->channel, sockets, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM;
         i++) { /* they do not block: asking one too many costs a call */
        if (readable(bits, i) || writable(bits, i))
            ares_process_fd(s->channel, sockets[i],
                            writable(bits, i) ? sockets[i] : ARES_SOCKET_BAD);
    }
    ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what timed out */
    if (s->pending == 0)
        settle(p);
}

static void close_state(struct discover_provider *p)
{
    struct state *s = p->state;
    if (s->channel)
        ares_destroy(s->channel);
    for (size_t i = 0; i < s->count; i++)
        target_groups_unref(s->queries[i].groups);
    mem_free(MEM_SCRAPE, s->queries);
}

const struct discover_kind DISCOVER_DNS = {.kind = CONFIG_DNS_SD,
                                           .label = "dns",
                                           .bytes = sizeof(struct state),
                                           .key = key,
                                           .interval_ms = interval_ms,
                                           .refresh = refresh,
                                           .waits = waits,
                                           .work = work,
                                           .close = close_state};
