/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h: reads a data folder to the last byte and says what is damaged; changes nothing, needs no lock: a server
 * may run on it meanwhile. One thread. */
#ifndef BELFRY_STORAGE_VERIFY_H
#define BELFRY_STORAGE_VERIFY_H

#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct verify_item {
    const char *name; /* "01HX...", "head/wal/3" */
    const char *what; /* "block", "log" */
    uint64_t bytes, series, samples, records;
    uint64_t damaged;   /* columns, or places in a log */
    bool torn;          /* a log that ends within a record: being written now, or a crash cut it */
    struct error first; /* of the damage; a place in a log in words */
};

struct verify_options {
    const char *dir;
    void (*item)(void *arg, const struct verify_item *item);
    /* How far a block is; may be NULL. */
    void (*progress)(void *arg, const char *name, uint64_t done, uint64_t total);
    void *arg;
};

/* *damaged counts the items with damage. False: the folder cannot be read. */
MUST_USE bool verify_folder(const struct verify_options *opts, size_t *damaged, struct error *err);

#endif
