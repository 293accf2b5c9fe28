/* SPDX-License-Identifier: Apache-2.0 */
/* hex.h: what a digit is worth, in any base up to 16. */
#ifndef BELFRY_BASE_HEX_H
#define BELFRY_BASE_HEX_H

#include <stdint.h>

enum { HEX_NONE = 16 };

/* 0 to 15; HEX_NONE for every other byte or character. */
static inline uint32_t hex_digit(uint32_t c)
{
    uint32_t digit = c - '0', letter = (c | 0x20) - 'a';
    return digit < 10 ? digit : letter < 6 ? letter + 10 : HEX_NONE;
}

#endif
