/* SPDX-License-Identifier: Apache-2.0 */
/* exec_private.h: one execution, as functions see it from inside. */
#ifndef BELFRY_TEMPLATE_EXEC_PRIVATE_H
#define BELFRY_TEMPLATE_EXEC_PRIVATE_H

#include "template/html.h"
#include "template/template_private.h"

struct template_call {
    const struct template *t;
    const struct template_run *run;
    struct error *err;
    struct template_limits limits; /* without zeros */
    size_t memory_bytes;           /* taken of limits.memory_bytes_max */
    uint64_t steps;
    uint32_t depth;    /* of {{template}} */
    uint32_t nesting;  /* of C calls: bounds the stack */
    struct buffer out; /* the text */
    struct buffer
        scratch; /* a stack of texts that are being made: scratch_begin(), scratch_take() */
    struct html_state html;                /* where in the page `out` ends */
    const struct body *body;               /* that is executed */
    struct template_value *slots;          /* its variables */
    const struct node *at;                 /* where errors are */
    char message[ERROR_MESSAGE_BYTES / 2]; /* of a function that failed */
    bool is_limit;                         /* it failed for a limit */
};

/* Counts `count` steps; false when there were too many (the call has failed then). */
bool call_charge(struct template_call *call, uint64_t count);
/* Counts bytes that were made for this run elsewhere. False when there were too many (the call has failed then). */
bool call_take_memory(struct template_call *call, size_t bytes);
/* A limit was reached. Returns false. */
bool call_limit(struct template_call *call, const char *format, ...) PRINTF_LIKE(2, 3);

/* Writes behind the returned mark in call->scratch, then takes the text off into the arena. False at a limit. */
static inline size_t scratch_begin(const struct template_call *call)
{
    return call->scratch.len;
}
MUST_USE bool scratch_take(struct template_call *call, size_t mark, struct view *out);
MUST_USE bool scratch_take_value(struct template_call *call, size_t mark,
                                 struct template_value *out);

/* Executes the template `name` of this run with `data` apart: its text goes to *out. For tmpl. */
bool call_template(struct template_call *call, struct view name, const struct template_value *data,
                   struct view *out);

#endif
