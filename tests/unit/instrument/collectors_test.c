/* SPDX-License-Identifier: Apache-2.0 */
/* The process and host collectors, on files made for the purpose. */
#include <belfry/collectors.h>

#include "instrument/proc.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static const struct {
    const char *path, *text;
} FILES[] = {
    {"/proc/stat",
     "cpu  30 0 30 30 0 0 0 0 0 0\ncpu0 100 200 300 400 500 600 700 800 50 60\ncpu1 1 2 3 4\n"
     "cpux 1 2 3 4\nintr 777 1 2 3\nctxt 888\nbtime 1700000000\nprocesses 99\n"
     "procs_running 3\nprocs_blocked 2\nsoftirq 5\n"},
    {"/proc/meminfo",
     "MemTotal:       24684084 kB\nActive(anon):       1644 kB\nHugePages_Total:       7\n"
     "Bad\nWorse: x kB\n"},
    {"/proc/vmstat",
     "nr_free_pages 5\npgpgin 11\npswpout 12\npgmajfault 13\npgalloc_dma 14\noom_kill 15\n"},
    {"/proc/loadavg", "2.09 1.69 0.99 3/128 15093\n"},
    {"/proc/sys/fs/file-nr", "795\t0\t2466170\n"},
    {"/proc/pressure/cpu", "some avg10=25.66 avg60=8.23 avg300=4.41 total=49763508\n"
                           "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"},
    {"/proc/pressure/io", "some avg10=0.80 avg60=0.49 avg300=0.35 total=1\n"
                          "full avg10=0.71 avg60=0.43 avg300=0.30 total=2000000\n"},
    {"/proc/diskstats", "   8       0 sda 1 2 3 4000 5 6 7 8 9 10 11 12 13 14 15 16 17\n"
                        "   8       1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
                        " 259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11\n"
                        " 259       1 nvme0n1p2 1 2 3 4 5 6 7 8 9 10 11\n"
                        "   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n   9 0 md0 1 2 3\n"},
    {"/run/udev/data/b8:0", "S:disk/by-id/x\nE:ID_MODEL=Fast \"One\"\nE:ID_SERIAL_SHORT=S1\n"},
    {"/proc/1/mounts", "/dev/sda / ext4 rw,relatime 0 0\n/dev/sdb /data\\040disk xfs ro 0 0\n"
                       "/dev/sda / ext4 rw 0 0\nproc /proc proc rw 0 0\nsrv:/x /home nfs rw 0 0\n"
                       "tmpfs /run/lock tmpfs rw 0 0\noverlay /x overlay rw 0 0\n"},
    {"/proc/net/dev", "Inter-|   Receive |  Transmit\n face |bytes packets errs drop\n"
                      "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                      "  eth0:101 2 3 4 5 6 7 8 109 10 11 12 13 14 15 16\n  eth1: 1 2 3\n"},
    {"/sys/class/net/eth0/operstate", "up\n"},
    {"/sys/class/net/eth0/address", "02:fc:00:00:00:01\n"},
    {"/sys/class/net/eth0/flags", "0x1003\n"},
    {"/sys/class/net/eth0/speed", "1000\n"},
    {"/sys/class/net/eth0/mtu", "1500\n"},
    {"/sys/class/net/eth0/carrier_changes", "not a number\n"},
    {"/sys/class/net/eth0/statistics/rx_nohandler", "4\n"},
    {"/proc/self/stat",
     "42 (a) b (c) S 1 42 42 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 5 0 1000 8192 3 "
     "18446744073709551615\n"},
    {"/proc/self/limits",
     "Limit                     Soft Limit           Hard Limit           Units\n"
     "Max open files            1024                 4096                 files\n"
     "Max address space         unlimited            unlimited            bytes\n"},
    {"/proc/self/net/netstat",
     "TcpExt: InOctets TW\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets More\n"
     "IpExt: 0 18446744073709551615 77\nIpExt: InOctets\nIpExt: 3\n"},
    {"/proc/self/fd/0", ""},
    {"/proc/self/fd/1", ""},
    {"/data disk/x", ""},
};

static void write_file(const char *path, const char *text, size_t len)
{
    char full[256];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    snprintf(root, sizeof(root), "/tmp/belfry-collectors-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[128];
    static const char *const folders[] = {"/proc/self/fd",
                                          "/proc/self/net",
                                          "/proc/self",
                                          "/proc/sys/fs",
                                          "/proc/sys",
                                          "/proc/pressure",
                                          "/proc/net",
                                          "/proc/1",
                                          "/proc",
                                          "/sys/class/net/eth0/statistics",
                                          "/sys/class/net/eth0",
                                          "/sys/class/net",
                                          "/sys/class",
                                          "/sys",
                                          "/run/udev/data",
                                          "/run/udev",
                                          "/run",
                                          "/data disk",
                                          ""};
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        snprintf(path, sizeof(path), "%s%s", root, FILES[i].path);
        (void)unlink(path);
    }
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        snprintf(path, sizeof(path), "%s%s", root, folders[i]);
        (void)rmdir(path);
    }
    return access(root, F_OK) == 0 ? -1 : 0;
}

static char *text_of(belfry_registry *r)
{
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
    return text;
}

static void assert_shows(const char *text, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char line[300];
        snprintf(line, sizeof(line), "\n%s\n", lines[i]);
        if (!strstr(text, line))
            fail_msg("not shown: %s", lines[i]);
    }
}

static void host_is_shown_under_node_exporters_names(void **state)
{
    static const char *const lines[] = {
        "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 4",
        "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 8",
        "node_cpu_seconds_total{cpu=\"1\",mode=\"iowait\"} 0",
        "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0.6",
        "node_intr_total 777",
        "node_context_switches_total 888",
        "node_boot_time_seconds 1700000000",
        "node_forks_total 99",
        "node_procs_running 3",
        "node_procs_blocked 2",
        "node_memory_MemTotal_bytes 25276502016",
        "node_memory_Active_anon_bytes 1683456",
        "node_memory_HugePages_Total 7",
        "node_vmstat_pgpgin 11",
        "node_vmstat_pgmajfault 13",
        "# TYPE node_vmstat_oom_kill untyped",
        "node_load1 2.09",
        "node_load5 1.69",
        "node_load15 0.99",
        "node_filefd_allocated 795",
        "node_filefd_maximum 2466170",
        "node_pressure_cpu_waiting_seconds_total 49.763508",
        "node_pressure_io_stalled_seconds_total 2",
        "node_disk_read_bytes_total{device=\"sda\"} 1536",
        "node_disk_read_time_seconds_total{device=\"sda\"} 4",
        "node_disk_reads_completed_total{device=\"nvme0n1\"} 1",
        "node_disk_flush_requests_time_seconds_total{device=\"sda\"} 0.017",
        "node_disk_info{device=\"sda\",major=\"8\",minor=\"0\",path=\"\",wwn=\"\",model=\"Fast "
        "\\\"One\\\"\",serial=\"S1\",revision=\"\"} 1",
        "node_filesystem_readonly{device=\"/dev/sda\",fstype=\"ext4\",mountpoint=\"/\"} 0",
        "node_filesystem_readonly{device=\"/dev/sdb\",fstype=\"xfs\",mountpoint=\"/data disk\"} 1",
        "node_filesystem_device_error{device=\"/dev/sda\",fstype=\"ext4\",mountpoint=\"/\"} 0",
        "node_network_receive_bytes_total{device=\"eth0\"} 101",
        "node_network_transmit_bytes_total{device=\"eth0\"} 109",
        "node_network_receive_nohandler_total{device=\"eth0\"} 4",
        "node_network_up{device=\"eth0\"} 1",
        "node_network_flags{device=\"eth0\"} 4099",
        "node_network_speed_bytes{device=\"eth0\"} 125000000",
        "node_network_info{device=\"eth0\",address=\"02:fc:00:00:00:01\",broadcast=\"\",duplex="
        "\"\","
        "operstate=\"up\",ifalias=\"\"} 1",
    };
    static const char *const hidden[] = {
        "sda1",   "nvme0n1p2", "loop0",           "md0",  "nfs",     "overlay", "/run/",
        "\"lo\"", "eth1",      "carrier_changes", "cpux", "pgalloc", "Worse",   "nr_free"};
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++)
        write_file(FILES[i].path, FILES[i].text, strlen(FILES[i].text));
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_host_collector_new(r, root), BELFRY_OK);
    char *text = text_of(r);
    assert_shows(text, lines, ARRAY_COUNT(lines));
    for (size_t i = 0; i < ARRAY_COUNT(hidden); i++) {
        if (strstr(text, hidden[i]))
            fail_msg("shown although left out: %s", hidden[i]);
    }
    assert_non_null(strstr(text, "node_uname_info{domainname="));
    assert_non_null(strstr(text, "node_time_seconds 1"));
    belfry_text_free(text);
    belfry_registry_free(r);
}

static void process_is_shown(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++)
        write_file(FILES[i].path, FILES[i].text, strlen(FILES[i].text));
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_process_collector_new(r, root), BELFRY_OK);
    char *text = text_of(r), rss[64];
    snprintf(rss, sizeof(rss), "process_resident_memory_bytes %ld", 3 * sysconf(_SC_PAGESIZE));
    const char *const lines[] = {
        "process_cpu_seconds_total 3",
        "process_threads 5",
        "process_virtual_memory_bytes 8192",
        "process_open_fds 2",
        "process_max_fds 1024",
        "process_start_time_seconds 1700000010",
        "process_virtual_memory_max_bytes 1.8446744073709552e+19",
        "process_network_receive_bytes_total 1.8446744073709552e+19",
        "process_network_transmit_bytes_total 77",
        rss,
    };
    assert_shows(text, lines, ARRAY_COUNT(lines));
    belfry_text_free(text);
    belfry_registry_free(r);

    r = belfry_registry_new(); /* and the real one */
    assert_int_equal(belfry_process_collector_new(r, NULL), BELFRY_OK);
    text = text_of(r);
    assert_non_null(strstr(text, "\nprocess_open_fds "));
    assert_non_null(strstr(text, "\nprocess_resident_memory_bytes "));
    belfry_text_free(text);
    belfry_registry_free(r);
}

/* Of a gauge without labels; NaN when it is not shown. */
static double shown_value(belfry_registry *r, const char *name)
{
    char *text = text_of(r), line[64] = "";
    const char *at = text;
    while (at && (strncmp(at, name, strlen(name)) != 0 || at[strlen(name)] != ' ')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (at)
        snprintf(line, sizeof(line), "%.*s", (int)strcspn(at + strlen(name) + 1, "\n"),
                 at + strlen(name) + 1);
    belfry_text_free(text);
    return belfry__read_double(line);
}

/* Memory taken is memory shown; where another allocator serves (a sanitizer's), glibc's is not shown. */
static void allocator_shows_what_is_allocated(void **state)
{
    enum { BYTES = 64 << 20 };
    static const char mapped[] = "glibc_malloc_mmap_bytes";
    belfry_registry *r = belfry_registry_new();
    (void)state;
    assert_int_equal(belfry_allocator_collector_new(r), BELFRY_OK);
    double before = shown_value(r, mapped);
    if (!isnan(before)) {
        char *volatile block = malloc(BYTES);
        assert_non_null(block);
        assert_true(shown_value(r, mapped) >= before + BYTES);
        assert_true(shown_value(r, "glibc_malloc_in_use_bytes") > 0);
        free(block);
    }
    assert_true(isnan(shown_value(r, "jemalloc_allocated_bytes")));
    assert_true(isnan(shown_value(r, "mimalloc_resident_bytes")));
    belfry_registry_free(r);
}

/* Every file in turn holds garbage, is cut at each of some places, or is missing. */
static void garbage_is_left_out(void **state)
{
    static char garbage[70000];
    srand(11);
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_host_collector_new(r, root), BELFRY_OK);
    assert_int_equal(belfry_process_collector_new(r, root), BELFRY_OK);
    belfry_text_free(text_of(r)); /* nothing is there */
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
            size_t len = strlen(FILES[i].text);
            memcpy(garbage, FILES[i].text, len);
            if (round % 3 == 0)
                len = len ? (size_t)rand() % len : 0;
            for (int k = 0; k < 8 && round % 3 == 1 && len; k++)
                garbage[(size_t)rand() % len] = (char)(rand() % 256);
            if (round % 3 == 2) {
                len = (size_t)rand() % sizeof(garbage);
                for (size_t k = 0; k < len; k++)
                    garbage[k] = " \n:0123456789cpu()=\0\\kB-.x"[rand() % 27];
            }
            write_file(FILES[i].path, garbage, len);
        }
        char *text = text_of(r);
        assert_non_null(strstr(text, "node_uname_info"));
        belfry_text_free(text);
    }
    belfry_registry_free(r);
}

static const struct {
    const char *text;
    bool ok;
    double value;
} DECIMALS[] = {{"0.25", true, 0.25}, {"-1", true, -1}, {"7", true, 7},
                {"", false, 0},       {".", false, 0},  {"1.2.3", false, 0},
                {"x", false, 0},      {"-", false, 0},  {"123456789012345678", false, 0}};

static void numbers_are_read_whole_or_not(void **state)
{
    uint64_t u;
    for (size_t i = 0; i < ARRAY_COUNT(DECIMALS); i++) {
        double v = 0;
        struct span s = {DECIMALS[i].text, strlen(DECIMALS[i].text)};
        assert_int_equal(belfry__span_decimal(s, &v), DECIMALS[i].ok);
        if (DECIMALS[i].ok)
            assert_true(v == DECIMALS[i].value);
    }
    assert_true(belfry__span_unsigned((struct span){"18446744073709551615", 20}, &u) &&
                u == UINT64_MAX);
    assert_false(belfry__span_unsigned((struct span){"18446744073709551616", 20}, &u));
    assert_false(belfry__span_unsigned((struct span){"1x", 2}, &u));
    assert_false(belfry__span_unsigned((struct span){"", 0}, &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(host_is_shown_under_node_exporters_names, setup, teardown),
        cmocka_unit_test_setup_teardown(process_is_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_left_out, setup, teardown),
        cmocka_unit_test(allocator_shows_what_is_allocated),
        cmocka_unit_test(numbers_are_read_whole_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
