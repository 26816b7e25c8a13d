/*
 * Every schedule of two or three threads that register and end what they have registered, change the limit, and
 * read: what is registered and the limit fit each other at every moment, who is refused has found no room, each
 * crossing is told once, and nobody sees more ends than registrations.
 */
#include "explored.h"
#include "wrong/wrong_resource.h"

static const char *const words[] = {"add",     "two",     "remove", "limit 1",
                                    "limit 2", "limit 4", "read",   NULL};
enum { ADD = 1, TWO, REMOVE, LIMIT_1, LIMIT_2, LIMIT_4, READ };

static struct {
    hf_resource kind, all;
    scripts scripts;
    bool wrong, sound[ACTORS];
    int added[ACTORS], refused[ACTORS], highs[ACTORS], has[ACTORS];
} world;

static void
begin(void *unused)
{
    (void)unused;
    hf_resource_init(&world.kind, 2);
    hf_resource_init(&world.all, HF_RESOURCE_NO_LIMIT);
    for (int t = 0; t < ACTORS; t++) {
        world.sound[t] = true;
        world.added[t] = world.refused[t] = world.highs[t] = world.has[t] = 0;
    }
}

static void
add(int t, int n)
{
    const unsigned answer = world.wrong ? wrong_resource_add(&world.kind, (uint64_t)n)
                                        : hf_resource_add(&world.kind, &world.all, (uint64_t)n);
    if (answer == HF_RESOURCE_FULL) {
        world.refused[t]++;
        return;
    }
    world.added[t]++;
    world.has[t] += n;
    world.highs[t] += (answer & HF_RESOURCE_HIGH) != 0;
}

static void
resize(uint64_t limit)
{
    (void)(world.wrong ? wrong_resource_resize(&world.kind, limit)
                       : hf_resource_resize(&world.kind, limit));
}

static void
read(int t)
{
    uint64_t limit;
    const uint64_t active = hf_resource_active(&world.kind, &limit);
    const uint64_t ended = hf_resource_counted(&world.kind, HF_RESOURCE_CLEANED);
    const uint64_t created = hf_load_relaxed(&world.kind.created);
    world.sound[t] &= active <= limit && ended <= created;
}

static void
play(void *unused, int t)
{
    (void)unused;
    for (const int *call = world.scripts.of[t]; *call != STOP; call++) {
        if (*call == ADD || *call == TWO)
            add(t, *call);
        else if (*call == READ)
            read(t);
        else if (*call != REMOVE)
            resize(*call == LIMIT_1 ? 1 : *call == LIMIT_2 ? 2 : 4);
        else if (world.has[t] > 0 &&
                 hf_resource_remove(&world.kind, &world.all, 1, HF_RESOURCE_CLEANED))
            world.has[t]--;
    }
}

/* The books balance, and what is registered is within the limit. */
static bool
is_sound(void *unused)
{
    (void)unused;
    uint64_t limit;
    const uint64_t active = hf_resource_active(&world.kind, &limit);
    uint64_t has = 0, added = 0, refused = 0;
    for (int t = 0; t < ACTORS; t++) {
        if (!world.sound[t])
            return false;
        has += (uint64_t)world.has[t];
        added += (uint64_t)world.added[t];
        refused += (uint64_t)world.refused[t];
    }
    return active == has && active <= limit &&
           (world.wrong || (hf_load_relaxed(&world.kind.created) == added &&
                            hf_load_relaxed(&world.kind.refused) == refused));
}

/* Of two that add one each to a limit of two, the second crosses 80 %, and nobody is refused. */
static bool
is_told_once(void *unused)
{
    return is_sound(unused) && world.highs[0] + world.highs[1] + world.highs[2] == 1 &&
           world.refused[0] + world.refused[1] + world.refused[2] == 0;
}

/* There was room for another one at every moment. */
static bool
is_refused_for_a_reason(void *unused)
{
    return is_sound(unused) && world.refused[0] == 0;
}

static bool
explored_script(const char *text, bool (*holds)(void *))
{
    world.scripts = scripts_of(text, words);
    return explored(text, world.scripts.threads, begin, play, holds);
}

HF_TEST(what_is_registered_is_within_the_limit_and_the_books_balance) /* RS-06, D-C-9 */
{
    HF_CHECK(explored_script("add, remove | two, remove, remove", is_sound));
    HF_CHECK(explored_script("add, remove | add | two", is_sound));
    HF_CHECK(explored_script("add, add, remove | limit 1, limit 4", is_sound));
    HF_CHECK(explored_script("add, remove | add | limit 1", is_sound));
    HF_CHECK(explored_script("two | limit 1, limit 2, limit 1", is_sound));
}

HF_TEST(each_crossing_is_told_to_one) /* RS-06 */
{
    HF_CHECK(explored_script("add | add", is_told_once));
}

HF_TEST(nobody_is_refused_by_a_limit_that_did_not_hold)
{
    HF_CHECK(explored_script("add | add, remove, limit 1", is_refused_for_a_reason));
    HF_CHECK(explored_script("add | add, remove, limit 4, limit 1", is_refused_for_a_reason));
}

HF_TEST(a_reader_sees_a_limit_that_holds_and_no_end_without_its_beginning) /* RS-05 */
{
    HF_CHECK(explored_script("add, remove | read", is_sound));
    HF_CHECK(explored_script("limit 1, limit 4 | read, read", is_sound));
    HF_CHECK(explored_script("add, remove | limit 1 | read", is_sound));
}

HF_TEST(the_explorer_finds_a_registration_on_a_limit_of_before)
{
    world.wrong = true;
    world.scripts = scripts_of("add, add | limit 1", words);
    HF_CHECK(finds("a limit of its own word", 2, begin, play, is_sound));
    world.wrong = false;
}
