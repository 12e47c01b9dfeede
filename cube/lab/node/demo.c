/* The demo: a small web server that misbehaves on demand.
 *
 *   GET /                   a page that names the version and the container
 *   GET /health             200 while healthy, else 503
 *   GET /unhealthy          from now on /health says 503
 *   GET /healthy            from now on /health says 200
 *   GET /slow?seconds=2     from now on / and /health take that long
 *   GET /crash              the process ends at once with status 1
 *
 * Environment: PORT (8080), VERSION (1), COLOR (told on the page), UNHEALTHY (start unhealthy when set).
 * SIGTERM and SIGINT end it with status 0 at once, also as PID 1.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static atomic_bool healthy = true;
static atomic_int seconds_slow = 0;
static const char *version = "1";
static const char *color = "grey";
static char hostname[65];

static void answer(int client, const char *status, const char *body) {
    char head[160];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                          status, strlen(body));
    if (write(client, head, length) == length && write(client, body, strlen(body)) < 0)
        perror("demo: write");
}

static void page(int client) {
    char body[200];
    snprintf(body, sizeof body, "Hello from Cube: demo version %s on %s, in %s\n", version, hostname, color);
    sleep(seconds_slow);
    answer(client, "200 OK", body);
}

static void health(int client) {
    sleep(seconds_slow);
    if (healthy)
        answer(client, "200 OK", "ok\n");
    else
        answer(client, "503 Service Unavailable", "unhealthy\n");
}

static void become(int client, bool well) {
    healthy = well;
    answer(client, "200 OK", well ? "healthy from now on\n" : "unhealthy from now on\n");
}

static void slow(int client, const char *query) {
    int seconds;
    if (sscanf(query, "?seconds=%d", &seconds) != 1 || seconds < 0 || seconds > 3600) {
        answer(client, "400 Bad Request", "say /slow?seconds=2\n");
        return;
    }
    seconds_slow = seconds;
    answer(client, "200 OK", "slow from now on\n");
}

static void crash(int client) {
    answer(client, "200 OK", "crashing\n");
    close(client);
    fputs("demo: crashed on demand\n", stderr);
    _exit(1);
}

static void route(int client, const char *path) {
    if (strcmp(path, "/") == 0)
        page(client);
    else if (strcmp(path, "/health") == 0)
        health(client);
    else if (strcmp(path, "/healthy") == 0)
        become(client, true);
    else if (strcmp(path, "/unhealthy") == 0)
        become(client, false);
    else if (strncmp(path, "/slow", 5) == 0)
        slow(client, path + 5);
    else if (strcmp(path, "/crash") == 0)
        crash(client);
    else
        answer(client, "404 Not Found", "no such page\n");
}

static void *serve(void *argument) {
    int client = (int)(long)argument;
    char request[1024], path[256];
    struct timeval patience = {.tv_sec = 5};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t length = read(client, request, sizeof request - 1);
    request[length > 0 ? length : 0] = '\0';
    if (sscanf(request, "GET %255s", path) == 1) {
        printf("GET %s\n", path);
        route(client, path);
    } else if (length > 0) {
        answer(client, "400 Bad Request", "only GET\n");
    }
    close(client);
    return NULL;
}

static int listen_on(int port) {
    int server = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in6 both = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr *address = (struct sockaddr *)&both;
    socklen_t size = sizeof both;
    if (server < 0) { /* a kernel without IPv6 */
        server = socket(AF_INET, SOCK_STREAM, 0);
        address = (struct sockaddr *)&four;
        size = sizeof four;
    }
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, address, size) < 0 || listen(server, 64) < 0) {
        perror("demo: listen");
        exit(1);
    }
    return server;
}

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

int main(void) {
    const char *port = getenv("PORT");
    version = getenv("VERSION") ? getenv("VERSION") : "1";
    color = getenv("COLOR") ? getenv("COLOR") : "grey";
    healthy = getenv("UNHEALTHY") == NULL;
    gethostname(hostname, sizeof hostname - 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGPIPE, SIG_IGN);

    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 64 * 1024);

    int server = listen_on(port ? atoi(port) : 8080);
    printf("demo: version %s listens on port %s\n", version, port ? port : "8080");
    for (;;) {
        pthread_t thread;
        int client = accept(server, NULL, NULL);
        if (client >= 0 && pthread_create(&thread, &small, serve, (void *)(long)client) != 0)
            close(client);
    }
}
