/* SPDX-License-Identifier: Apache-2.0 */
/* image_answer.h: results and failures as answers: which headers go along, and whether the client has it already. */
#ifndef IMGFORGE_IMAGE_ANSWER_H
#define IMGFORGE_IMAGE_ANSWER_H

#include "image_request.h"

/* Takes a reference of its own for as long as it is sent. */
void image_answer(const struct imgforge_settings *s, const struct image_request *asked,
                  struct cached_image *image, bool is_hit, struct http_request *rq,
                  struct http_response *rs);
/* *f as the answer, with a line in the log where it is a violation. */
void image_answer_failure(const struct image_failure *f, struct http_request *rq,
                          struct http_response *rs);
/* service_definition.error_body: the sentence alone; with development_errors its cause behind it. */
const char *image_answer_error_body(const struct imgforge_settings *s,
                                    const struct service_error *error, struct buffer *out);

#endif
