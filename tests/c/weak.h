/*
 * A weak memory for the explorer: what a thread may still see of a word that others have changed.
 *
 * Each word has the list of the values it held, oldest first. A thread has a view: for each word, the
 * oldest value that it may still read. A load may give any value from there on. A store with release
 * order carries the view of its thread; a load with acquire order that reads it joins that view to its
 * own, a relaxed one at the next acquire fence. A read-modify-write reads the newest value, and hands
 * on what that one carried (release sequences). A seq_cst load gives nothing older than the newest
 * seq_cst store of the word, or than another seq_cst load of it gave.
 *
 * This is the view semantics of "A Promising Semantics for Relaxed-Memory Concurrency" (Kang and others,
 * 2017) without promises: a store takes its place at the end of the list when it runs. So not seen:
 * a load that is overtaken by a later store of its thread, a store that comes before another one that ran
 * earlier, and a failed CAS that reads an older value.
 */
#ifndef HF_WEAK_H
#define HF_WEAK_H

#include <stdatomic.h>
#include <stdint.h>

void hf_weak_forget(void); /* begin again: no word has an older value, no thread has seen any */

/* How many values older than the newest one a load may give. */
int hf_weak_older(int thread, uintptr_t word, uint64_t newest, memory_order order);
/* Read the value that is `back` places older than the newest one. */
uint64_t hf_weak_read(int thread, uintptr_t word, uint64_t newest, int back, memory_order order);
void hf_weak_store(int thread, uintptr_t word, uint64_t before, uint64_t stored,
                   memory_order order);
/* A read-modify-write, or a CAS that has succeeded. */
void hf_weak_change(int thread, uintptr_t word, uint64_t before, uint64_t after,
                    memory_order order);
void hf_weak_fence_acquire(int thread);

#endif /* HF_WEAK_H */
