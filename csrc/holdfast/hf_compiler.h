/*
 * What the kernels ask of the compiler beyond C11. Nothing else is in here.
 */
#ifndef HF_COMPILER_H
#define HF_COMPILER_H

#if defined(__GNUC__) || defined(__clang__)
#define HF_LIKELY(x) __builtin_expect(!!(x), 1)
#define HF_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* A rare path in a header: kept out of the callers' code, and silent where a file does not use it. */
#define HF_RARE static __attribute__((noinline, cold, unused))
#elif defined(_MSC_VER)
#define HF_LIKELY(x) (x)
#define HF_UNLIKELY(x) (x)
#define HF_RARE static __declspec(noinline)
#else
#define HF_LIKELY(x) (x)
#define HF_UNLIKELY(x) (x)
#define HF_RARE static inline
#endif

#endif /* HF_COMPILER_H */
