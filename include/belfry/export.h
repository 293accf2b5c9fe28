/* SPDX-License-Identifier: Apache-2.0 */
/* export.h: what a public declaration of libbelfry carries. Everything without BELFRY_API stays inside
 * the library when it is built shared. */
#ifndef BELFRY_EXPORT_H
#define BELFRY_EXPORT_H

#if defined(__GNUC__)
#define BELFRY_API __attribute__((visibility("default")))
#define BELFRY_MUST_USE __attribute__((warn_unused_result))
#else
#define BELFRY_API
#define BELFRY_MUST_USE
#endif

#endif
