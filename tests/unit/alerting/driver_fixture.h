/* SPDX-License-Identifier: Apache-2.0 */
/* driver_fixture.h: tests of drivers as tables: a receiver's configuration, alerts, and for each request of the exchange what
 * must be sent and what is answered.
 *
 *   static const struct driver_case CASES[] = {
 *       {.name = "firing",
 *        .receiver = "webhook_configs: [{url: 'http://hook.example/x'}]",
 *        .steps = {{.url = "http://hook.example/x", .body = "{\"version\": \"4\", ...}", .status = 200}},
 *        .verdict = DELIVERY_SENT},
 *   };
 *   driver_check(CASES, ARRAY_COUNT(CASES));
 *
 * The receiver is called "team", the external URL is http://am.example, the group key {}:{alertname="Down"}, and it is
 * 2023-11-14T22:15:00Z. */
#ifndef BELFRY_TESTS_DRIVER_FIXTURE_H
#define BELFRY_TESTS_DRIVER_FIXTURE_H

#include "alerting/delivery.h"
#include "alerting/sender.h"

#include <stddef.h>
#include <stdint.h>

#define DRIVER_NOW_NS INT64_C(1700000100000000000)
#define DRIVER_START_NS INT64_C(1700000000123456789) /* 2023-11-14T22:13:20.123456789Z */
#define DRIVER_END_NS INT64_C(1700000090123456789)   /* 2023-11-14T22:14:50.123456789Z */

enum { DRIVER_STEPS_MAX = 6, DRIVER_ALERTS_MAX = 8 };

struct driver_alert {
    const char *labels;      /* {alertname="Down",job="node"} */
    const char *annotations; /* the same way; NULL: none */
    bool is_resolved;
    const char *generator_url; /* NULL: http://p/graph */
};

/* What of it is NULL is not looked at. */
struct driver_step {
    const char *method; /* "POST" when it is not looked at otherwise: always checked */
    const char *url;
    const char *headers; /* each line, "Name: value", must be among those sent */
    const char *body;    /* JSON, compared as values, when it begins with { or [; else bytes */
    long status;         /* of the answer; 0: this step was the last, nothing is answered */
    const char *answer, *answer_headers;
    bool is_cut; /* there was more of the answer */
};

struct driver_case {
    const char *name;
    const char *receiver; /* YAML, at the left edge: what stands beside the receiver's name */
    const char *global;   /* "global: {...}", templates; NULL: nothing */
    struct driver_alert
        alerts[DRIVER_ALERTS_MAX]; /* none: one firing, Down, job node, summary "it is down" */
    const char *group_labels;      /* NULL: {alertname="Down"} */
    const char *route_labels, *reason, *group_key;
    const char *recalled; /* "ts=1,channel=x" */
    struct driver_step steps[DRIVER_STEPS_MAX];
    enum delivery_verdict verdict;
    const char *error;      /* must be in the message; NULL: there is none */
    const char *remembered; /* as recalled; NULL: not looked at */
    bool has_template_error;
    bool host_is_templated; /* of the first request */
};

/* Fails the test at the first difference. */
void driver_check(const struct driver_case *cases, size_t count);

/* The pieces, for tests that are no table. */
struct driver_fixture {
    struct arena arena, attempt; /* for the configuration and alerts; for one attempt */
    struct alert_config *config;
    struct integrations *set;
    struct integration_list list;
    struct live_alert *alerts[DRIVER_ALERTS_MAX];
    struct delivery_source source;
    struct delivery d;
    bool is_cut; /* of the next answer */
};
void driver_fixture_init(struct driver_fixture *f, const struct driver_case *c);
/* Begins an attempt anew with integration `idx`. */
enum delivery_verdict driver_fixture_begin(struct driver_fixture *f, size_t idx, struct error *err);
enum delivery_verdict driver_fixture_answer(struct driver_fixture *f, long status,
                                            const char *headers, const char *body,
                                            struct error *err);
void driver_fixture_deinit(struct driver_fixture *f);

#endif
