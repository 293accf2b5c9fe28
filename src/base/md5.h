/* SPDX-License-Identifier: Apache-2.0 */
/* md5.h: MD5 (RFC 1321), for formats that fixed it long ago (relabelling's hashmod). Not for security. */
#ifndef BELFRY_BASE_MD5_H
#define BELFRY_BASE_MD5_H

#include "base/view.h"

#include <stdint.h>

enum { MD5_BYTES = 16 };

void md5(struct view text, uint8_t out[MD5_BYTES]);

#endif
