/*
 * What explorations share: asking the explorer in one line, and threads that play scripts in words.
 */
#ifndef HF_EXPLORED_H
#define HF_EXPLORED_H

#include "explore.h"
#include "hf_test.h"

static inline bool
holds_always(hf_explore_model model)
{
    const hf_explored e = hf_explore(&model);
    HF_CHECK(e.complete || e.broken);
    return !e.broken;
}

/* Every schedule holds. */
static inline bool
explored(const char *name, int threads, void (*setup)(void *), void (*thread)(void *, int),
         bool (*holds)(void *))
{
    return holds_always((hf_explore_model){
        .name = name, .threads = threads, .setup = setup, .thread = thread, .holds = holds});
}

/* The explorer finds a schedule that does not hold, and names it. */
static inline bool
finds(const char *name, int threads, void (*setup)(void *), void (*thread)(void *, int),
      bool (*holds)(void *))
{
    const hf_explored e = hf_explore(&(hf_explore_model){
        .name = name, .threads = threads, .setup = setup, .thread = thread, .holds = holds});
    return e.broken && e.trace[0];
}

enum { ACTORS = 3, CALLS = 4, STOP = 0 };

typedef struct scripts {
    int threads;
    int of[ACTORS][CALLS + 1]; /* numbers of words, from 1, ended by STOP */
} scripts;

/*
 * Scripts from words: calls are separated by commas, threads by bars. "take, back | take" is two
 * threads. Words end with NULL.
 */
static inline scripts
scripts_of(const char *text, const char *const words[])
{
    const char *at = text;
    scripts s = {.threads = 1};
    for (int calls = 0; *(at += strspn(at, " ,"));) {
        if (*at == '|') {
            HF_REQUIRE(++s.threads <= ACTORS);
            calls = 0;
            at++;
            continue;
        }
        size_t length = strcspn(at, ",|"), word = 0;
        while (length && at[length - 1] == ' ')
            length--;
        while (words[word] && (strlen(words[word]) != length || strncmp(words[word], at, length)))
            word++;
        HF_REQUIRE(words[word] && calls < CALLS);
        s.of[s.threads - 1][calls++] = (int)word + 1;
        at += length;
    }
    return s;
}

#endif /* HF_EXPLORED_H */
