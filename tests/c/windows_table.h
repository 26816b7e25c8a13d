/* The table of windows by key (csrc/limits), without Python, and its keys as numbers. */
#ifndef HF_WINDOWS_TABLE_H
#define HF_WINDOWS_TABLE_H

#define HF_WITHOUT_PYTHON
#include "limits/windows.c"

#include <stdio.h>

typedef struct numbered {
    hf_key key;
    char text[32];
} numbered;

static inline const hf_key *
key_of(const hf_windows *w, numbered *k, long number)
{
    k->key.length = (size_t)snprintf(k->text, sizeof k->text, "LIMITER/%ld/10/1/minute", number);
    k->key.text = k->text;
    k->key.hash = hf_windows_hash(w, k->text, k->key.length);
    return &k->key;
}

static inline void
table_init(hf_windows *w, hf_window_kind kind, size_t most)
{
    const uint64_t secret[3] = {0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0};
    hf_windows_init(w, kind, most, 0, secret);
}

static inline int
hit(hf_windows *w, long number, int64_t n, int64_t limit, int64_t now_ns)
{
    numbered k;
    return hf_windows_hit(w, key_of(w, &k, number),
                          &(hf_asked){.n = n, .limit = limit, .per_ns = 1000, .now_ns = now_ns});
}

static inline int64_t
count_of(hf_windows *w, long number, int64_t now_ns)
{
    numbered k;
    hf_shown shown;
    hf_windows_look(w, key_of(w, &k, number), 1000, now_ns, &shown);
    return shown.count;
}

static inline void
clear(hf_windows *w, long number)
{
    numbered k;
    hf_windows_clear(w, key_of(w, &k, number));
}

#endif /* HF_WINDOWS_TABLE_H */
