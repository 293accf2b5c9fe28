/* SPDX-License-Identifier: Apache-2.0 */
/* sanitizer.h: HAS_SANITIZER is 1 in a build whose sanitizer maps terabytes and starts processes of its own (a symbolizer, a search for leaks), where
 * limits and sandboxes have to let it; else 0. */
#ifndef BELFRY_BASE_SANITIZER_H
#define BELFRY_BASE_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

#endif
