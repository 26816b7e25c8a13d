/*
 * The C tests' runner: owns the counting and the printing, nothing about kernels.
 *
 *     HF_TEST(a_full_bulkhead_refuses) { HF_CHECK(!hf_bulkhead_try_enter(&bh)); }
 *
 * One test file is one program: main() is in this header, and runs every HF_TEST of the file in
 * their order. One line per test, a closing "N passed, N failed", exit status 1 when anything failed
 * or nothing ran. A first argument runs only the tests whose name contains it. A failed check is
 * reported and the test runs on; checks may be made from any thread.
 */
#ifndef HF_TEST_H
#define HF_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf__test {
    const char *name;
    void (*run)(void);
    int line; /* a compiler may order constructors as it likes */
    struct hf__test *next;
};

static struct {
    struct hf__test *first;
    int passed, failed;
    int broken; /* failed checks of the running test; threads add to it atomically */
} hf__tests;

static inline void
hf__test_add(struct hf__test *test)
{
    struct hf__test **at = &hf__tests.first;
    while (*at && (*at)->line < test->line)
        at = &(*at)->next;
    test->next = *at;
    *at = test;
}

#define HF_TEST(name)                                                                              \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void add_##name(void)                                      \
    {                                                                                              \
        static struct hf__test test = {#name, name, __LINE__, NULL};                               \
        hf__test_add(&test);                                                                       \
    }                                                                                              \
    static void name(void)

/* The check failed: say so, and go on. Prints the first ten of a test: a stress loop has millions. */
#define HF__BROKEN(...)                                                                            \
    do {                                                                                           \
        if (__atomic_fetch_add(&hf__tests.broken, 1, __ATOMIC_RELAXED) < 10) {                     \
            fprintf(stderr, "    %s:%d: ", __FILE__, __LINE__);                                    \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

#define HF_CHECK(condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            HF__BROKEN("%s", #condition);                                                          \
    } while (0)

/* Two integers are equal. Unsigned values above INTMAX_MAX compare right and print as negative. */
#define HF_CHECK_INT(actual, expected)                                                             \
    do {                                                                                           \
        intmax_t hf__a = (intmax_t)(actual), hf__e = (intmax_t)(expected);                         \
        if (hf__a != hf__e)                                                                        \
            HF__BROKEN("%s is %" PRIdMAX ", not %s = %" PRIdMAX, #actual, hf__a, #expected,        \
                       hf__e);                                                                     \
    } while (0)

/* As HF_CHECK, but the program cannot go on without it. */
#define HF_REQUIRE(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "    %s:%d: cannot go on without %s\n", __FILE__, __LINE__,            \
                    #condition);                                                                   \
            exit(2);                                                                               \
        }                                                                                          \
    } while (0)

static inline void
hf__test_run(const struct hf__test *test)
{
    char sentence[160];
    hf__tests.broken = 0;
    test->run();
    snprintf(sentence, sizeof sentence, "%s", test->name);
    for (char *c = sentence; *c; c++)
        if (*c == '_')
            *c = ' ';
    if (hf__tests.broken) {
        hf__tests.failed++;
        printf("FAIL %s (%d failed checks)\n", sentence, hf__tests.broken);
    } else {
        hf__tests.passed++;
        printf("ok   %s\n", sentence);
    }
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (const struct hf__test *test = hf__tests.first; test; test = test->next)
        if (argc < 2 || strstr(test->name, argv[1]))
            hf__test_run(test);
    printf("%d passed, %d failed\n", hf__tests.passed, hf__tests.failed);
    return hf__tests.failed || !hf__tests.passed;
}

#endif /* HF_TEST_H */
