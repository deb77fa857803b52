/* The floor of a send: one thread hands a message to another, which sleeps in epoll and owns the socket.
 *
 *     handoff SOCKET COUNT PAUSE_NS
 *
 * Sends COUNT messages, each after the receipt of the one before and a pause. The receiver (receiver.py, at the other
 * end of the socket) writes two times to our stdin for each: when it had read the message, on the monotonic clock, and
 * when the kernel had it, on the real one. For each message it prints how long the hand-over took us, how long it was
 * until the kernel had the message, and until the receiver had: nanoseconds, all from just before the hand-over.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* As long as the frame of the message that dscore is measured with. */
static const char message[] = "{\"type\":\"note\",\"number\":1000}..";
static int connection, waker;

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *serve(void *unused) {
    (void)unused;
    struct epoll_event event = {.events = EPOLLIN};
    int epoll_fd = epoll_create1(0);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, waker, &event) < 0)
        fail("epoll_ctl");
    for (;;) {
        uint64_t woken;
        if (epoll_wait(epoll_fd, &event, 1, -1) == 1 && read(waker, &woken, sizeof woken) == sizeof woken)
            if (send(connection, message, sizeof message - 1, MSG_NOSIGNAL) < 0)
                fail("send");
    }
    return NULL;
}

int main(int count, char **words) {
    pthread_t thread;
    if (count != 4) {
        fprintf(stderr, "usage: handoff SOCKET COUNT PAUSE_NS\n");
        return 2;
    }
    connection = atoi(words[1]);
    struct timespec pause = {.tv_nsec = atol(words[3])};
    waker = eventfd(0, EFD_NONBLOCK);
    if (waker < 0 || pthread_create(&thread, NULL, serve, NULL) != 0)
        fail("handoff");
    for (int left = atoi(words[2]); left > 0; left--) {
        const uint64_t one = 1;
        int64_t received[2];
        int64_t started = now(CLOCK_MONOTONIC), started_real = now(CLOCK_REALTIME);
        if (write(waker, &one, sizeof one) != sizeof one)
            fail("write");
        int64_t called = now(CLOCK_MONOTONIC) - started;
        if (read(STDIN_FILENO, received, sizeof received) != sizeof received)
            fail("the receiver has gone");
        printf("%lld %lld %lld\n", (long long)called, (long long)(received[1] - started_real),
               (long long)(received[0] - started));
        if (pause.tv_nsec > 0)
            nanosleep(&pause, NULL);
    }
    return 0;
}
