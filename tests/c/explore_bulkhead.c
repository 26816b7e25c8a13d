/*
 * Every schedule of two and three threads that enter, wait, leave and change the limit.
 *
 * Each thread plays a script. Whoever is told that waiters can come in grants until there are none
 * or no room, as waiting/rooms.py does. After each schedule nobody is lost, nobody is counted
 * twice, the limit was kept, and there is never both room and a waiter: nobody would wake him.
 */
#include "bulkhead_subject.h"
#include "explored.h"

/* LEAVE and UNDO do nothing for a thread that is not inside, GIVE_UP for one that does not wait. */
enum { ENTER = 1, TRY, FORCE, LEAVE, UNDO, GIVE_UP, LIMIT_1 };
static const char *const words[] = {"enter",   "try",     "force",   "leave",   "undo",
                                    "give up", "limit 1", "limit 2", "limit 3", NULL};

typedef struct scenario {
    const char *scripts;
    uint32_t limit, max_waiting;
    int inside_before,
        waiting_before; /* when the threads begin: those of the first, and nobody's */
    int spurious;
    bool wrong;
} scenario;

static struct actor {
    int inside, queued, grants, claimed; /* grants it made for others, and grants it took up */
    uint64_t seen;                       /* inside when it had changed the limit */
} actors[ACTORS];

static const scenario *scene;
static scripts playing;

static void
begin(void *unused)
{
    memset(actors, 0, sizeof actors);
    open_bulkhead(scene->wrong, scene->limit, scene->max_waiting);
    for (int i = 0; i < scene->inside_before + scene->waiting_before; i++)
        HF_REQUIRE(enter_or_queue() == (i < scene->inside_before ? HF_ENTERED : HF_QUEUED));
    actors[0].inside = scene->inside_before;
}

static void
let_in(struct actor *a, bool waiters)
{
    while (waiters && grant())
        a->grants++;
}

static void
go(struct actor *a, int way_out)
{
    bool waiters = false;
    if (!a->inside)
        return;
    bool was_inside =
        way_out == LEAVE ? leave(&waiters) : hf_bulkhead_undo(&subject.real, &waiters);
    HF_CHECK(was_inside);
    a->inside--;
    let_in(a, waiters);
}

/* A waiter that finds nobody waiting has been granted: he is inside, and passes the slot on. */
static void
give_up(struct actor *a)
{
    if (!a->queued)
        return;
    a->queued = 0;
    if (!hf_bulkhead_unqueue(&subject.real)) {
        a->claimed++;
        a->inside++;
        go(a, UNDO);
    }
}

static void
make_call(struct actor *a, int c)
{
    switch (c) {
    case ENTER: {
        hf_entry entry = enter_or_queue();
        a->inside += entry == HF_ENTERED;
        a->queued += entry == HF_QUEUED;
        break;
    }
    case TRY:
        a->inside += hf_bulkhead_try_enter(&subject.real);
        break;
    case FORCE:
        a->inside += hf_bulkhead_force_enter(&subject.real);
        break;
    case LEAVE:
    case UNDO:
        go(a, c);
        break;
    case GIVE_UP:
        give_up(a);
        break;
    default: {
        bool waiters = hf_bulkhead_resize(&subject.real, (uint32_t)(c - LIMIT_1 + 1));
        a->seen = inside();
        let_in(a, waiters);
    }
    }
}

static void
play(void *unused, int t)
{
    for (const int *c = playing.of[t]; *c != STOP; c++)
        make_call(&actors[t], *c);
}

static bool
is_accounted_for(void *unused)
{
    int are_inside = 0, wait = scene->waiting_before, granted = 0;
    bool free_of_limit = false;
    uint64_t seen = 0;
    for (int t = 0; t < ACTORS; t++) {
        granted += actors[t].grants - actors[t].claimed;
        are_inside += actors[t].inside;
        wait += actors[t].queued;
        seen = actors[t].seen > seen ? actors[t].seen : seen;
        for (const int *c = playing.of[t]; *c != STOP; c++)
            free_of_limit |= *c >= LIMIT_1 || *c == FORCE;
    }
    if ((!free_of_limit && inside() > limit()) || (waiting() != 0 && inside() < limit()))
        return false;
    if (free_of_limit && seen != 0 && inside() > (seen > limit() ? seen : limit()))
        return false; /* somebody entered by the limit of before */
    return inside() == (uint64_t)(are_inside + granted) &&
           waiting() == (uint64_t)(wait - granted) &&
           (scene->wrong || inside() == inside_by_counters());
}

static bool
plays(scenario s)
{
    scene = &s;
    playing = scripts_of(s.scripts, words);
    return holds_always((hf_explore_model){.name = s.scripts,
                                           .threads = playing.threads,
                                           .setup = begin,
                                           .thread = play,
                                           .holds = is_accounted_for,
                                           .spurious = s.spurious});
}

#define HOLDS(...) HF_CHECK(plays((scenario){.scripts = __VA_ARGS__}))
#define IS_FOUND(...) HF_CHECK(!plays((scenario){.scripts = __VA_ARGS__, .wrong = true}))

HF_TEST(never_more_than_the_limit_are_inside) /* BH-01, trap 36 */
{
    HOLDS("try | try | try", .limit = 2);
    HOLDS("leave, try | try | try", .limit = 1, .inside_before = 1);
    HOLDS("enter, leave, enter, leave | enter, leave, enter", .limit = 1);
}

HF_TEST(whoever_queues_while_the_last_one_leaves_is_let_in) /* BH-02, trap 33 */
{
    HOLDS("enter, leave | enter | enter", .limit = 1, .max_waiting = 2);
    HOLDS("enter, leave | enter, leave | enter, leave", .limit = 1, .max_waiting = 1);
    HOLDS("leave, leave | enter", .limit = 2, .max_waiting = 3, .inside_before = 2,
          .waiting_before = 2);
}

HF_TEST(a_waiter_who_gives_up_loses_nobody_a_slot) /* traps 32, 33 */
{
    HOLDS("leave | enter, give up | enter", .limit = 1, .max_waiting = 2, .inside_before = 1);
    HOLDS("undo | enter, give up", .limit = 1, .max_waiting = 2, .inside_before = 1,
          .waiting_before = 1);
    HOLDS("leave, enter, leave | enter, give up", .limit = 1, .max_waiting = 2, .inside_before = 1,
          .waiting_before = 1);
}

HF_TEST(a_greater_limit_strands_nobody_who_is_about_to_queue) /* trap 37 */
{
    HOLDS("enter | enter | limit 3", .limit = 1, .max_waiting = 2);
    HOLDS("leave | enter | limit 2, limit 1", .limit = 1, .max_waiting = 2, .inside_before = 1);
}

HF_TEST(after_a_smaller_limit_nobody_enters_by_the_one_before) /* trap 37 */
{
    HOLDS("enter | try | limit 1", .limit = 3);
    HOLDS("leave, enter | enter | limit 1", .limit = 2, .max_waiting = 2, .inside_before = 1);
}

HF_TEST(observed_calls_are_counted_like_others)
{
    HOLDS("force, leave | force | enter", .limit = 1, .max_waiting = 1);
}

HF_TEST(it_holds_although_compare_and_swap_fails_for_no_reason)
{
    HOLDS("enter, leave | enter", .limit = 1, .max_waiting = 1, .spurious = 3);
}

HF_TEST(the_explorer_finds_two_callers_on_the_last_slot) /* trap 36 */
{
    IS_FOUND("enter | enter", .limit = 1);
}

HF_TEST(the_explorer_finds_a_waiter_whom_nobody_wakes) /* trap 33 */
{
    IS_FOUND("leave | enter", .limit = 1, .max_waiting = 1, .inside_before = 1);
}

/* --- what is done inside is seen by the next one --- */

static struct {
    hf_au64 word; /* changed inside, as by code that has no atomics */
    int done;
} work;

static void
begin_work(void *unused)
{
    open_bulkhead(false, 1, 0);
    hf_store_relaxed(&work.word, 0);
    work.done = 0;
}

static void
work_inside(void *unused, int index)
{
    if (!hf_bulkhead_try_enter(&subject.real))
        return;
    hf_store_relaxed(&work.word, hf_load_relaxed(&work.word) + 1);
    work.done++;
    bool waiters;
    (void)hf_bulkhead_leave(&subject.real, &waiters);
}

static bool
no_work_is_lost(void *unused)
{
    return hf_load_relaxed(&work.word) == (uint64_t)work.done;
}

HF_TEST(what_one_does_inside_is_seen_by_the_next_one)
{
    HF_CHECK(explored("work inside, twice", 2, begin_work, work_inside, no_work_is_lost));
    HF_CHECK(explored("work inside, three", 3, begin_work, work_inside, no_work_is_lost));
}
