/* The floor: the exchange of a fleet with its server, and nothing else.
 *
 * One thread, one epoll, no policy, no limits, no timers but the drain's. It upgrades, answers app_ready and heartbeat,
 * and on SIGTERM sends each agent a terminate_app with an id of its own, matches the answers, closes 1000 and waits for
 * the closing handshakes. What a real server takes longer than this is the price of what a real server does.
 *
 * It believes its peers: it speaks only to dscore-load on loopback, and drops a connection that breaks the rules.
 *
 * Prints "listening PORT"; exits 0 if every agent acked and closed, 3 if not, 1 if it could not run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "accept_key.h"

enum {
    MAX_FDS = 32768,
    MAX_EVENTS = 1024,
    RECEIVE = 65536,
    ID = 36,
    DRAIN_MS = 10000,
};

enum state { FREE, UPGRADING, OPEN, INTRODUCED, ACKED };

struct slot {
    char id[ID];       /* of the terminate_app it was sent */
    uint8_t state;     /* enum state */
    uint16_t kept_len; /* bytes of a frame or head that is not complete */
    uint8_t *kept;     /* NULL for everyone whose messages come in one piece */
};

static struct slot slots[MAX_FDS]; /* by descriptor: the kernel hands out the lowest one */
static uint8_t input[2 * RECEIVE]; /* what was kept, less than half of it, and what comes */
static int epoll_fd, listen_fd, signal_fd;
static int live, acked, told;
static bool draining;
static int64_t drain_end_ms;

/* The frames it sends, made once. */
static uint8_t ack_frame[256], beat_frame[256], terminate_frame[256];
static size_t ack_len, beat_len, terminate_len, beat_stamp, terminate_id;
static const uint8_t close_frame[] = "\x88\x13\x03\xe8" "Client terminated";

static size_t text_frame(uint8_t *out, const char *text) {
    size_t n = strlen(text), head = n < 126 ? 2 : 4;
    out[0] = 0x81;
    if (head == 2) out[1] = (uint8_t)n;
    else out[1] = 126, out[2] = (uint8_t)(n >> 8), out[3] = (uint8_t)n;
    memcpy(out + head, text, n);
    return head + n;
}

static size_t offset_of(const uint8_t *frame, size_t len, const char *mark) {
    return (size_t)((uint8_t *)memmem(frame, len, mark, strlen(mark)) - frame);
}

static void make_frames(void) {
    ack_len = text_frame(ack_frame, "{\"type\":\"app_ready_ack\",\"status\":\"ok\",\"session_restored\":false,"
                                    "\"server_status\":\"running\",\"nextHeartbeatIn\":30000}");
    beat_len = text_frame(beat_frame, "{\"type\":\"heartbeat_response\",\"status\":\"ok\",\"timestamp\":"
                                      "\"0000-00-00T00:00:00.000Z\",\"message\":\"heartbeat received\","
                                      "\"nextHeartbeatIn\":30000}");
    beat_stamp = offset_of(beat_frame, beat_len, "0000-");
    terminate_len = text_frame(terminate_frame, "{\"type\":\"terminate_app\",\"request_id\":"
                                                "\"00000000-0000-0000-0000-000000000000\","
                                                "\"reason\":\"Server shutting down\"}");
    terminate_id = offset_of(terminate_frame, terminate_len, "00000000-");
}

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Writes the time into beat_frame, once for each millisecond that has a heartbeat. */
static void stamp_beat(void) {
    static int64_t stamped;
    int64_t ms = clock_ms(CLOCK_REALTIME);
    if (ms == stamped) return;
    time_t seconds = ms / 1000;
    struct tm utc;
    char text[64];
    gmtime_r(&seconds, &utc);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)(ms % 1000));
    memcpy(beat_frame + beat_stamp, text, 24);
    stamped = ms;
}

static uint64_t random_state;

static uint64_t random_word(void) { /* splitmix64: the ids must differ, not surprise */
    uint64_t z = random_state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static void make_id(char out[ID]) { /* RFC 9562 §5.4, version 4 */
    static const char hex[] = "0123456789abcdef";
    uint64_t high = (random_word() & ~0xF000ULL) | 0x4000, low = (random_word() >> 2) | 1ULL << 63;
    char *p = out;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) *p++ = '-';
        *p++ = hex[(i < 16 ? high >> (60 - 4 * i) : low >> (124 - 4 * i)) & 15];
    }
}

static void drop(int fd) {
    if (slots[fd].state >= INTRODUCED) live--;
    free(slots[fd].kept);
    memset(&slots[fd], 0, sizeof slots[fd]);
    close(fd);
}

/* One send per message. A buffer too full for 130 bytes is an agent that does not read: it is dropped. */
static bool send_frame(int fd, const uint8_t *frame, size_t len) {
    if (send(fd, frame, len, MSG_NOSIGNAL) == (ssize_t)len) return true;
    drop(fd);
    return false;
}

/* Returns the head's length, 0 if it is not complete, -1 if the connection has gone. */
static ssize_t upgrade(int fd, uint8_t *data, size_t len) {
    uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    const char *name = strcasestr((char *)data, "\r\nsec-websocket-key:");
    if (!name) return drop(fd), -1;
    const char *key = name + strlen("\r\nsec-websocket-key:");
    key += strspn(key, " \t");
    if (end - (uint8_t *)key < 24) return drop(fd), -1;
    char answer[160];
    size_t n = (size_t)sprintf(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                       "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    accept_key((const uint8_t *)key, answer + n);
    memcpy(answer + n + 28, "\r\n\r\n", 4);
    slots[fd].state = OPEN;
    return send_frame(fd, (uint8_t *)answer, n + 32) ? end + 4 - data : -1;
}

/* The start of the string value of a top-level name, as dscore-load writes it. */
static const char *value_of(const uint8_t *text, size_t len, const char *name, size_t name_len) {
    const uint8_t *at = memmem(text, len, name, name_len);
    return at ? (const char *)at + name_len : NULL;
}

#define VALUE(text, len, name) value_of(text, len, "\"" name "\":\"", sizeof name + 3)
#define BEGINS(at, word) (memcmp(at, word "\"", sizeof word) == 0)

static bool message(int fd, const uint8_t *text, size_t len) {
    struct slot *slot = &slots[fd];
    const char *type = VALUE(text, len, "type");
    if (!type) return drop(fd), false;
    if (BEGINS(type, "heartbeat")) {
        stamp_beat();
        return send_frame(fd, beat_frame, beat_len);
    }
    if (BEGINS(type, "app_ready")) {
        if (slot->state == OPEN) slot->state = INTRODUCED, live++;
        return send_frame(fd, ack_frame, ack_len);
    }
    if (BEGINS(type, "app_terminated") && draining && slot->state == INTRODUCED) {
        const char *id = VALUE(text, len, "request_id"), *status = VALUE(text, len, "status");
        if (!id || !status || memcmp(id, slot->id, ID) || !BEGINS(status, "OK")) return true;
        slot->state = ACKED, acked++;
        return send_frame(fd, close_frame, sizeof close_frame - 1);
    }
    return true;
}

/* Returns the frame's length, 0 if it is not complete, -1 if the connection has gone. */
static ssize_t frame(int fd, uint8_t *data, size_t len) {
    if (len < 2) return 0;
    size_t n = data[1] & 127, head = 2;
    if (n == 126) {
        if (len < 4) return 0;
        n = (size_t)data[2] << 8 | data[3], head = 4;
    }
    if (!(data[1] & 128) || n > RECEIVE / 2) return drop(fd), -1;
    if (len < head + 4 + n) return 0;
    uint8_t *mask = data + head, *payload = mask + 4;
    for (size_t i = 0; i < n; i++) payload[i] ^= mask[i & 3];
    switch (data[0]) {
    case 0x81: return message(fd, payload, n) ? payload + n - data : -1;
    case 0x88: /* theirs first: echo; ours first: both sides are done, the server closes (§7.1.1) */
        if (slots[fd].state != ACKED && !send_frame(fd, (uint8_t *)"\x88\x02\x03\xe8", 4)) return -1;
        return drop(fd), -1;
    case 0x8a: return payload + n - data;
    default: return drop(fd), -1;
    }
}

static void readable(int fd) {
    struct slot *slot = &slots[fd];
    size_t kept = slot->kept_len, at = 0;
    if (kept) memcpy(input, slot->kept, kept);
    ssize_t got = recv(fd, input + kept, RECEIVE, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    size_t len = kept + (size_t)got;
    input[len] = 0;
    while (at < len) {
        ssize_t used = slot->state == UPGRADING ? upgrade(fd, input + at, len - at) : frame(fd, input + at, len - at);
        if (used < 0) return;
        if (used == 0) break;
        at += (size_t)used;
    }
    if (at == len && !kept) return;
    slot->kept_len = (uint16_t)(len - at);
    slot->kept = realloc(slot->kept, RECEIVE);
    memcpy(slot->kept, input + at, len - at);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); /* TCP_NODELAY is inherited */
        if (fd < 0) return;
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        slots[fd].state = UPGRADING;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static void drain(void) {
    struct signalfd_siginfo info;
    if (read(signal_fd, &info, sizeof info) < 0 || draining) return;
    draining = true;
    drain_end_ms = clock_ms(CLOCK_MONOTONIC) + DRAIN_MS;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, listen_fd, NULL);
    told = live;
    for (int fd = 0; fd < MAX_FDS; fd++) {
        if (slots[fd].state != INTRODUCED) continue;
        make_id(slots[fd].id);
        memcpy(terminate_frame + terminate_id, slots[fd].id, ID);
        send_frame(fd, terminate_frame, terminate_len);
    }
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) perror("epoll_ctl"), exit(1);
}

static void listen_on(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int yes = 1;
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(listen_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(listen_fd, (struct sockaddr *)&address, size) || listen(listen_fd, 4096)) perror("bind"), exit(1);
    getsockname(listen_fd, (struct sockaddr *)&address, &size);
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    make_frames();
    if (getrandom(&random_state, sizeof random_state, 0) != sizeof random_state) return 1;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    listen_on(argc > 1 ? (uint16_t)atoi(argv[1]) : 0);
    watch(listen_fd);
    watch(signal_fd);

    static struct epoll_event events[MAX_EVENTS];
    while (!draining || (live > 0 && clock_ms(CLOCK_MONOTONIC) < drain_end_ms)) {
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, draining ? 100 : -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd) accept_all();
            else if (fd == signal_fd) drain();
            else if (slots[fd].state != FREE) readable(fd);
        }
    }
    printf("told %d acked %d open %d\n", told, acked, live);
    return acked == told && live == 0 ? 0 : 3;
}
