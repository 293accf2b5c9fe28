/* SPDX-License-Identifier: Apache-2.0 */
/* start_pages.h: gives back the memory that only the start needed. */
#ifndef BELFRY_SERVER_START_PAGES_H
#define BELFRY_SERVER_START_PAGES_H

/* Drops the pages of code and constants of the program and its libraries, and the heap's free ones. What is used again
 * comes back from the page cache (a soft fault each, some hundred in all). Any thread, once. */
void start_pages_drop(void);

#endif
