/* SPDX-License-Identifier: Apache-2.0 */
/* lock.h: the library's one lock. It guards what is registered, the making and removing of children, and the shapes of
 * native histograms: all rare. One lock, so that fork() can take it; no callback runs under it. Updates, and asking for
 * a child that is there, do without. */
#ifndef BELFRY_INSTRUMENT_LOCK_H
#define BELFRY_INSTRUMENT_LOCK_H

#include <stdbool.h>

void belfry__lock(void);
bool belfry__try_lock(void);
void belfry__unlock(void);

#endif
