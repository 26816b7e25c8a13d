/*
 * The C tests' runner: owns the counting and the printing, nothing about kernels.
 *
 *     HF_TEST(a_full_bulkhead_refuses) { HF_CHECK(!hf_bulkhead_try_enter(&bh)); }
 *     int main(int argc, char **argv)
 *     {
 *         hf_test_open(argc, argv);
 *         HF_RUN(a_full_bulkhead_refuses);
 *         return hf_test_close();
 *     }
 *
 * One line per test, a closing "N passed, N failed", exit status 1 when anything failed or nothing
 * ran. A first argument runs only the tests whose name contains it. A failed check is reported and
 * the test runs on; checks may be made from any thread. One test file is one program: the counts
 * live in this header.
 */
#ifndef HF_TEST_H
#define HF_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *only; /* run the tests whose name contains this; NULL: all */
    int passed, failed;
    int broken; /* failed checks of the running test; threads add to it atomically */
} hf__tests;

#define HF_TEST(name) static void name(void)
#define HF_RUN(name) hf_test_run(#name, name)

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
hf_test_open(int argc, char **argv)
{
    hf__tests.only = argc > 1 ? argv[1] : NULL;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}

static inline void
hf_test_run(const char *name, void (*test)(void))
{
    char sentence[160];
    if (hf__tests.only && !strstr(name, hf__tests.only))
        return;
    hf__tests.broken = 0;
    test();
    snprintf(sentence, sizeof sentence, "%s", name);
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

/* Returns the program's exit status. */
static inline int
hf_test_close(void)
{
    printf("%d passed, %d failed\n", hf__tests.passed, hf__tests.failed);
    return hf__tests.failed || !hf__tests.passed;
}

#endif /* HF_TEST_H */
