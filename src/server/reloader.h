/* SPDX-License-Identifier: Apache-2.0 */
/* reloader.h: who asks for a reload, and what came of it. Any thread may ask; the main thread reloads, one at a time,
 * and one reload answers all who asked before it began, however many they are. */
#ifndef BELFRY_SERVER_RELOADER_H
#define BELFRY_SERVER_RELOADER_H

#include "base/attributes.h"
#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct reloader {
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t done;
    uint64_t asked, begun,
        ended; /* tickets: given out, those that the reload in work answers, answered */
    bool stopped;
    struct error failure; /* of the last reload; kind ERROR_NONE: it went well */
};

void reloader_init(struct reloader *r);
void reloader_deinit(struct reloader *r);
/* Asks for a reload by SIGHUP to this process and waits for it. Any thread but the main one. Errors: those of the
 * reload; ERROR_UNAVAILABLE when the server stops first. */
MUST_USE bool reloader_ask(struct reloader *r, struct error *err);
/* Main thread, around a reload. failure: NULL when it went well. */
void reloader_begin(struct reloader *r);
void reloader_end(struct reloader *r, const struct error *failure);
/* From now on nobody waits. */
void reloader_stop(struct reloader *r);

#endif
