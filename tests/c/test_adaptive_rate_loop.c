/*
 * hf_adaptive_rate.h in a closed loop with a modelled server, which serves so many calls a second, one
 * after the other, and queues the others. Callers always want more than the limiter grants.
 */
#include "hf_test.h"

#include "holdfast/hf_adaptive_rate.h"

static const int64_t ms = 1000000, second = INT64_C(1000000000);

enum { QUEUE = 1 << 18 };

typedef struct server {
    int64_t capacity; /* calls a second */
    int64_t base_ns;  /* what a call takes alone */
    int64_t free_ns;  /* when it has served all that it has */
    bool throttles;   /* answers at once that there are too many, above its capacity */
    int64_t due_ns;   /* of its next answer, if it throttles */
    uint64_t noise;
} server;

typedef struct call {
    int64_t taken_ns, done_ns;
    bool throttled;
} call;

typedef struct loop {
    hf_bucket bucket;
    hf_adaptive_rate rate;
    server server;
    call calls[QUEUE];
    unsigned first, last;
    int64_t now_ns;
    uint64_t decisions;
} loop;

static loop world;

static void
begin_at(uint64_t rate, int64_t capacity, bool throttles)
{
    const hf_adaptive_settings s = {.rate = rate * HF_RATE_MICRO,
                                    .min = HF_RATE_MICRO,
                                    .max = 10000 * HF_RATE_MICRO,
                                    .target_ns = 100 * ms,
                                    .max_age_ns = 20 * second,
                                    .window = 100};
    memset(&world, 0, sizeof world);
    world.server = (server){.capacity = capacity, .base_ns = 20 * ms, .throttles = throttles};
    hf_bucket_init(&world.bucket, hf_rate_of_micro(s.rate, s.burst), 0);
    hf_adaptive_rate_init(&world.rate, &world.bucket, &s, 0);
}

static void
begin(int64_t capacity, bool throttles)
{
    begin_at((uint64_t)capacity * 2, capacity, throttles);
}

/* Between a quarter less and a quarter more. */
static int64_t
noisy(server *s, int64_t ns)
{
    s->noise = s->noise * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ns - ns / 4 + (int64_t)((s->noise >> 33) % (uint64_t)(ns / 2 + 1));
}

static call
serve(server *s, int64_t now_ns)
{
    call c = {.taken_ns = now_ns};
    const int64_t work_ns = second / s->capacity;
    if (s->throttles) { /* a bucket of a second */
        int64_t due_ns = s->due_ns > now_ns ? s->due_ns : now_ns;
        c.throttled = due_ns + work_ns > now_ns + second / 5;
        if (!c.throttled)
            s->due_ns = due_ns + work_ns;
        c.done_ns = now_ns + noisy(s, s->base_ns);
        return c;
    }
    s->free_ns = (s->free_ns > now_ns ? s->free_ns : now_ns) + noisy(s, work_ns);
    c.done_ns = s->free_ns + s->base_ns;
    return c;
}

static void
end(loop *l)
{
    const call c = l->calls[l->first++ % QUEUE];
    const uint64_t gen = hf_load_relaxed(&l->rate.word) >> HF__RATE_GEN_SHIFT;
    uint64_t before;
    hf_adaptive_rate_record(&l->rate, &l->bucket,
                            c.throttled ? HF_RATE_THROTTLING : HF_RATE_LATENCY, c.taken_ns,
                            c.done_ns, c.done_ns - c.taken_ns, &before);
    l->decisions += gen != hf_load_relaxed(&l->rate.word) >> HF__RATE_GEN_SHIFT;
}

static double
rate_now(void)
{
    return (double)hf_adaptive_rate_get(&world.rate) / HF_RATE_MICRO;
}

typedef struct range {
    double least, most;
} range;

/* Go on for so many windows; the range of the rate in them. */
static range
run(uint64_t windows)
{
    loop *l = &world;
    const uint64_t until = l->decisions + windows;
    range r = {1e12, 0};
    while (l->decisions < until) {
        int64_t wait_ns = hf_bucket_wait_ns(&l->bucket, 1, l->now_ns);
        int64_t done_ns = l->first != l->last ? l->calls[l->first % QUEUE].done_ns : INT64_MAX;
        HF_REQUIRE(l->last - l->first < QUEUE);
        if (done_ns <= l->now_ns + wait_ns) {
            l->now_ns = done_ns > l->now_ns ? done_ns : l->now_ns;
            end(l);
            r.least = rate_now() < r.least ? rate_now() : r.least;
            r.most = rate_now() > r.most ? rate_now() : r.most;
        } else {
            l->now_ns += wait_ns;
            HF_REQUIRE(hf_bucket_try_take(&l->bucket, 1, l->now_ns));
            l->calls[l->last++ % QUEUE] = serve(&l->server, l->now_ns);
        }
    }
    return r;
}

static bool
is_near(range r, double capacity)
{
    bool near = r.least >= capacity / 1.5 && r.most <= capacity * 1.5;
    if (!near)
        fprintf(stderr, "    rate from %.1f to %.1f at a capacity of %.0f\n", r.least, r.most,
                capacity);
    return near;
}

/* RL-03, trap 47 */
static void
settles_and_stays(int64_t capacity, bool throttles)
{
    begin(capacity, throttles);
    run(200);
    HF_CHECK(is_near(run(100000), (double)capacity));
}

static void
follows(int64_t capacity, bool throttles)
{
    begin(capacity, throttles);
    run(400);
    world.server.capacity = capacity / 2;
    run(200);
    HF_CHECK(is_near(run(1000), (double)capacity / 2));
    world.server.capacity = capacity;
    run(200);
    HF_CHECK(is_near(run(1000), (double)capacity));
}

HF_TEST(it_settles_near_the_capacity_of_a_small_server_and_stays_for_100000_windows)
{
    settles_and_stays(50, false);
}

HF_TEST(it_settles_near_the_capacity_of_a_large_server_and_stays_for_100000_windows)
{
    settles_and_stays(500, false);
}

HF_TEST(it_follows_a_server_that_loses_half_of_its_capacity_and_has_it_back)
{
    follows(50, false);
    follows(500, false);
}

HF_TEST(it_settles_below_the_rate_that_a_server_throttles)
{
    settles_and_stays(50, true);
    settles_and_stays(500, true);
    follows(50, true);
    follows(500, true);
}

static void
finds(int64_t capacity, uint64_t rate, bool throttles)
{
    begin_at(rate, capacity, throttles);
    run(200);
    HF_CHECK(is_near(run(2000), (double)capacity));
}

/* The server queues many thousands of calls before the rate is low enough, and serves them all. */
HF_TEST(it_finds_the_capacity_from_a_rate_that_is_far_above_it)
{
    finds(50, 1000, false);
    finds(50, 10000, false);
    finds(500, 10000, false);
    finds(50, 1000, true);
    finds(500, 10000, true);
}

HF_TEST(it_finds_the_capacity_from_a_rate_that_is_far_below_it)
{
    finds(50, 1, false);
    finds(500, 1, false);
    finds(50, 1, true);
    finds(500, 1, true);
}
