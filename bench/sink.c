/* The destination of the benchmark: as much of OpenSearch as two shippers need to deliver, and as cheap as possible.
 *
 * Usage: sink TEMPLATES.json     prints "port N" on standard output, serves 127.0.0.1:N until standard input ends.
 *
 *   POST .../_bulk           reads the whole body, counts its documents (pairs of lines), answers one status for each:
 *                            {"took":1,"errors":false,"items":[{"create":{"status":201}},...]}, whatever was asked for.
 *                            Content-Encoding: gzip is taken where built with zlib (-DHAVE_ZLIB -lz), else 415.
 *   GET /                    an OpenSearch of version 3.8.0
 *   GET /_index_template...  the bytes of TEMPLATES.json
 *   .../_search              no hits          .../_count     0          anything else   {}
 *   POST /_sink/reset        zeroes the counts; the body is the marker: documents whose action line holds it are
 *                            counted apart
 *   GET /_sink/stats         the counts as JSON; times are nanoseconds of CLOCK_MONOTONIC at which a request had come in
 *                            full: first_ns and last_ns of any, first_marked_ns and last_marked_ns of one that held
 *                            marked documents
 *   GET /_sink/sample        the first document whose action line holds the marker
 *
 * One thread, epoll, keep-alive. A request that it cannot read closes its connection. Not for use outside a benchmark.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#define MAX_REQUEST (256u << 20)
#define MAX_HEAD 65536u
#define READ_SIZE (1u << 20)

struct buffer {
    char *data;
    size_t length, room;
};

struct connection {
    int fd;
    struct buffer in, out;
    size_t sent;
    int writing, promised; /* waits for EPOLLOUT; has been told 100 Continue for the request under way */
};

static struct {
    long long documents, marked, requests, bytes, plain_bytes, odd, first, last, first_marked, last_marked;
} counts;
static struct buffer sample, templates, inflated;
static char marker[256];
static size_t marker_length;
static int epoll_fd;

static const char ITEM[] = "{\"create\":{\"status\":201}},";
static const char HELLO[] = "{\"name\":\"sink\",\"cluster_name\":\"bench\",\"version\":{\"distribution\":\"opensearch\","
                            "\"number\":\"3.8.0\"},\"tagline\":\"bench sink\"}";
static const char NO_HITS[] = "{\"took\":1,\"timed_out\":false,\"_shards\":{\"total\":1,\"successful\":1,\"skipped\":0,"
                              "\"failed\":0},\"hits\":{\"total\":{\"value\":0,\"relation\":\"eq\"},\"hits\":[]}}";

static void die(const char *what) {
    perror(what);
    exit(1);
}

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *reserve(struct buffer *b, size_t more) {
    if (b->room - b->length < more) {
        size_t room = b->room ? b->room : 65536;
        while (room - b->length < more)
            room *= 2;
        char *data = realloc(b->data, room);
        if (!data)
            die("realloc");
        b->data = data;
        b->room = room;
    }
    return b->data + b->length;
}

static void add(struct buffer *b, const char *data, size_t length) {
    memcpy(reserve(b, length), data, length);
    b->length += length;
}

static void respond(struct connection *c, const char *status, const char *body, size_t length, int head_only) {
    char head[160];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     status, length);
    add(&c->out, head, (size_t)n);
    if (!head_only)
        add(&c->out, body, length);
}

static void respond_text(struct connection *c, const char *status, const char *body, int head_only) {
    respond(c, status, body, strlen(body), head_only);
}

/* Counts the documents of an NDJSON body; the number of items to answer. */
static long long count(const char *data, size_t length) {
    const char *at = data, *end = data + length;
    long long documents = 0;
    while (at < end) {
        const char *action_end = memchr(at, '\n', (size_t)(end - at));
        if (!action_end) {
            counts.odd++;
            break;
        }
        const char *document = action_end + 1;
        const char *document_end = document < end ? memchr(document, '\n', (size_t)(end - document)) : NULL;
        if (!document_end) {
            if (document >= end) {
                counts.odd++;
                break;
            }
            document_end = end; /* rsyslog's last line has its newline, but a missing one loses no document */
        }
        documents++;
        if (marker_length && memmem(at, (size_t)(action_end - at), marker, marker_length)) {
            if (!counts.marked) {
                counts.first_marked = counts.last;
                add(&sample, document, (size_t)(document_end - document));
            }
            counts.last_marked = counts.last;
            counts.marked++;
        }
        at = document_end < end ? document_end + 1 : end;
    }
    return documents;
}

static int inflate_into(struct buffer *out, const char *data, size_t length) {
#ifdef HAVE_ZLIB
    z_stream z;
    memset(&z, 0, sizeof z);
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return 0;
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)length;
    out->length = 0;
    int state = Z_OK;
    while (state == Z_OK && out->length < MAX_REQUEST) {
        z.next_out = (Bytef *)reserve(out, READ_SIZE);
        z.avail_out = READ_SIZE;
        state = inflate(&z, Z_NO_FLUSH);
        out->length += READ_SIZE - z.avail_out;
    }
    inflateEnd(&z);
    return state == Z_STREAM_END;
#else
    (void)out, (void)data, (void)length;
    return 0;
#endif
}

static void bulk(struct connection *c, const char *body, size_t length, int gzip) {
    counts.last = now();
    if (!counts.first)
        counts.first = counts.last;
    counts.requests++;
    counts.bytes += (long long)length;
    if (gzip) {
        if (!inflate_into(&inflated, body, length)) {
            respond_text(c, "415 Unsupported Media Type", "{\"error\":\"no gzip here\",\"status\":415}", 0);
            return;
        }
        body = inflated.data;
        length = inflated.length;
    }
    counts.plain_bytes += (long long)length;
    long long n = count(body, length);
    counts.documents += n;
    static struct buffer reply;
    static const char open[] = "{\"took\":1,\"errors\":false,\"items\":[";
    reply.length = 0;
    add(&reply, open, sizeof open - 1);
    for (long long i = 0; i < n; i++)
        add(&reply, ITEM, sizeof ITEM - 1);
    if (n)
        reply.length--; /* the last comma */
    add(&reply, "]}", 2);
    respond(c, "200 OK", reply.data, reply.length, 0);
}

static void stats(struct connection *c, int head_only) {
    struct rusage usage;
    char text[512];
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    snprintf(text, sizeof text,
             "{\"documents\":%lld,\"marked\":%lld,\"requests\":%lld,\"bytes\":%lld,\"plain_bytes\":%lld,\"odd\":%lld,"
             "\"first_ns\":%lld,\"last_ns\":%lld,\"first_marked_ns\":%lld,\"last_marked_ns\":%lld,\"cpu\":%.6f}",
             counts.documents, counts.marked, counts.requests, counts.bytes, counts.plain_bytes, counts.odd,
             counts.first, counts.last, counts.first_marked, counts.last_marked, cpu);
    respond_text(c, "200 OK", text, head_only);
}

/* The value of a header in [head, end), or NULL. */
static const char *header(const char *head, const char *end, const char *name) {
    size_t n = strlen(name);
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line && line + n + 2 < end;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if (!strncasecmp(line + 1, name, n) && line[n + 1] == ':') {
            const char *value = line + n + 2;
            while (*value == ' ')
                value++;
            return value;
        }
    }
    return NULL;
}

static int has(const char *at, const char *end, const char *text) {
    return memmem(at, (size_t)(end - at), text, strlen(text)) != NULL;
}

static void answer(struct connection *c, const char *head, const char *head_end, const char *body, size_t length) {
    const char *path = memchr(head, ' ', (size_t)(head_end - head));
    const char *path_end = path ? memchr(path + 1, ' ', (size_t)(head_end - path - 1)) : NULL;
    if (!path_end) {
        respond_text(c, "400 Bad Request", "{}", 0);
        return;
    }
    path++;
    const char *query = memchr(path, '?', (size_t)(path_end - path));
    const char *name_end = query ? query : path_end;
    int head_only = !strncmp(head, "HEAD ", 5);
    const char *encoding = header(head, head_end, "content-encoding");
    if (!strncmp(head, "POST ", 5) && has(path, name_end, "/_bulk"))
        bulk(c, body, length, encoding && !strncasecmp(encoding, "gzip", 4));
    else if (has(path, name_end, "/_sink/reset")) {
        memset(&counts, 0, sizeof counts);
        sample.length = 0;
        marker_length = length < sizeof marker ? length : sizeof marker;
        memcpy(marker, body, marker_length);
        respond_text(c, "200 OK", "{}", 0);
    } else if (has(path, name_end, "/_sink/stats"))
        stats(c, head_only);
    else if (has(path, name_end, "/_sink/sample"))
        respond(c, "200 OK", sample.data ? sample.data : "", sample.length, head_only);
    else if (name_end - path == 1)
        respond_text(c, "200 OK", HELLO, head_only);
    else if (has(path, name_end, "/_index_template"))
        respond(c, "200 OK", templates.data, templates.length, head_only);
    else if (has(path, name_end, "/_search"))
        respond_text(c, "200 OK", NO_HITS, head_only);
    else if (has(path, name_end, "/_count"))
        respond_text(c, "200 OK", "{\"count\":0}", head_only);
    else
        respond_text(c, "200 OK", "{}", head_only);
}

/* Answers every complete request in the buffer; 0 when the connection is to be closed. */
static int serve(struct connection *c) {
    size_t at = 0;
    while (at < c->in.length) {
        const char *head = c->in.data + at;
        size_t left = c->in.length - at;
        const char *end = memmem(head, left < MAX_HEAD ? left : MAX_HEAD, "\r\n\r\n", 4);
        if (!end) {
            if (left >= MAX_HEAD)
                return 0;
            break;
        }
        end += 2;
        if (header(head, end, "transfer-encoding"))
            return 0;
        const char *value = header(head, end, "content-length");
        size_t length = value ? strtoull(value, NULL, 10) : 0;
        if (length > MAX_REQUEST)
            return 0;
        size_t whole = (size_t)(end + 2 - head) + length;
        if (left < whole) {
            const char *expect = header(head, end, "expect");
            if (expect && !c->promised && !strncasecmp(expect, "100-continue", 12)) {
                add(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
                c->promised = 1;
            }
            /* In one step, so that a large body is not copied again and again. */
            if (whole - left > c->in.room - c->in.length && at == 0)
                reserve(&c->in, whole - left);
            break;
        }
        c->promised = 0;
        answer(c, head, end, end + 2, length);
        at += whole;
    }
    if (at) {
        c->in.length -= at;
        memmove(c->in.data, c->in.data + at, c->in.length);
    }
    return 1;
}

static void end(struct connection *c) {
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

/* 0 when the connection failed. */
static int flush(struct connection *c) {
    while (c->sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return 0;
        if (n < 0) {
            if (!c->writing) {
                struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
                epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
                c->writing = 1;
            }
            return 1;
        }
        c->sent += (size_t)n;
    }
    c->sent = c->out.length = 0;
    if (c->writing) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        c->writing = 0;
    }
    return 1;
}

/* 0 when the connection is over. */
static int take(struct connection *c) {
    for (;;) {
        reserve(&c->in, 65536);
        ssize_t n = recv(c->fd, c->in.data + c->in.length, c->in.room - c->in.length, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return 0;
        size_t room = c->in.room - c->in.length;
        c->in.length += (size_t)n;
        if (!serve(c) || !flush(c))
            return 0;
        if ((size_t)n < room)
            return 1;
    }
}

static void read_file(struct buffer *b, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    size_t n;
    while ((n = fread(reserve(b, 65536), 1, 65536, file)) > 0)
        b->length += n;
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: sink TEMPLATES.json\n");
        return 64;
    }
    read_file(&templates, argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        die("listen");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &event; /* stands for standard input: when it ends, the benchmark is gone */
    void *input = event.data.ptr;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if ((void *)c == input)
                return 0;
            if (!c) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                c = calloc(1, sizeof *c);
                if (!c)
                    die("calloc");
                c->fd = fd;
                struct epoll_event added = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &added);
                continue;
            }
            int alive = 1;
            if (events[i].events & EPOLLOUT)
                alive = flush(c);
            if (alive && (events[i].events & ~(unsigned)EPOLLOUT))
                alive = take(c);
            if (!alive)
                end(c);
        }
    }
}
