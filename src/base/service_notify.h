/* SPDX-License-Identifier: Apache-2.0 */
/* service_notify.h: tells the service manager how far the process is (systemd's sd_notify protocol, Type=notify or
 * notify-reload): one datagram to the socket that NOTIFY_SOCKET names. Without the variable nothing happens. */
#ifndef BELFRY_BASE_SERVICE_NOTIFY_H
#define BELFRY_BASE_SERVICE_NOTIFY_H

enum service_state { SERVICE_READY, SERVICE_RELOADING, SERVICE_STOPPING };

/* Failing is nobody's loss but the manager's: it is not told. Main thread. */
void service_notify(enum service_state state);

#endif
