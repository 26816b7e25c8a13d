/* Every schedule of two and three threads that take, return and change rates in one bucket. */
#include "bucket_actors.h"

/* So much later the base of time has to move before anything can be taken. */
static const int64_t far = INT64_C(1) << 43;

HF_TEST(of_three_takes_of_two_tokens_exactly_two_succeed) /* RL-01, trap 36 */
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take | take | take", .scripts = {{TAKE_ONE}, {TAKE_ONE}, {TAKE_ONE}}},
        0));
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "take two | take | take",
                                                 .scripts = {{TAKE_TWO}, {TAKE_ONE}, {TAKE_ONE}}},
                                     0));
}

HF_TEST(takes_hold_although_compare_and_swap_fails_for_no_reason)
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take | take, CAS failing", .scripts = {{TAKE_ONE}, {TAKE_ONE}}}, 3));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take | change, CAS failing", .scripts = {{TAKE_ONE}, {RESIZE_1}}}, 2));
}

HF_TEST(takes_and_refunds_lose_nothing) /* traps 32, 34 */
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take, back | take | take",
                    .scripts = {{TAKE_ONE, GIVE_BACK}, {TAKE_ONE}, {TAKE_ONE}}},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take, take, back, take | take, back, take, take",
                    .scripts = {{TAKE_ONE, TAKE_ONE, GIVE_BACK, TAKE_ONE},
                                {TAKE_ONE, GIVE_BACK, TAKE_ONE, TAKE_ONE}}},
        0));
}

HF_TEST(bookings_queue_one_behind_the_other) /* trap 38 */
{
    HF_CHECK(
        holds_in_every_schedule(&(scenario){.name = "reserve | reserve, take | take",
                                            .scripts = {{RESERVE}, {RESERVE, TAKE_ONE}, {TAKE_ONE}},
                                            .taken_before = 1},
                                0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "reserve, reserve | reserve, reserve, take",
                    .scripts = {{RESERVE, RESERVE}, {RESERVE, RESERVE, TAKE_ONE}}},
        0));
}

HF_TEST(a_change_of_rate_loses_no_take_and_makes_no_token) /* trap 37 */
{
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "take | take | change",
                                                 .scripts = {{TAKE_ONE}, {TAKE_ONE}, {RESIZE_1}}},
                                     0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take, take | change, change",
                    .scripts = {{TAKE_ONE, TAKE_ONE}, {RESIZE_1, RESIZE_2}}},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take, back | change, change",
                    .scripts = {{TAKE_ONE, GIVE_BACK}, {RESIZE_1, RESIZE_0}},
                    .taken_before = 1},
        0));
}

HF_TEST(of_two_changes_one_is_the_last_and_whole)
{
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "take | change | change",
                                                 .scripts = {{TAKE_ONE}, {RESIZE_1}, {RESIZE_2}}},
                                     0));
}

HF_TEST(a_take_that_sleeps_through_every_bank_is_not_mistaken_for_a_later_one)
{
    /* The last change fills the first bank again, and the same debt gives the same word but for
       the nanosecond that bases differ by. */
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take | change, change, change, change",
                    .scripts = {{TAKE_ONE}, {RESIZE_1, RESIZE_1, RESIZE_1, RESIZE_2}}},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "take | four changes, taken before",
                    .scripts = {{TAKE_ONE}, {RESIZE_2, RESIZE_1, RESIZE_2, RESIZE_0}},
                    .taken_before = 2},
        0));
}

HF_TEST(clearing_takes_its_turn_like_any_call)
{
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "take two | clear | take two",
                                                 .scripts = {{TAKE_TWO}, {CLEAR}, {TAKE_TWO}}},
                                     0));
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "take two | clear | change",
                                                 .scripts = {{TAKE_TWO}, {CLEAR}, {RESIZE_1}}},
                                     0));
}

HF_TEST(after_a_long_idle_time_takers_move_the_base_without_losing_a_take)
{
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "idle; take | take",
                                                 .scripts = {{TAKE_TWO}, {TAKE_ONE}},
                                                 .now_ns = far},
                                     0));
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "idle; take | change",
                                                 .scripts = {{TAKE_ONE}, {RESIZE_1}},
                                                 .now_ns = far},
                                     0));
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "idle; take, take | reserve",
                                                 .scripts = {{TAKE_ONE, TAKE_ONE}, {RESERVE}},
                                                 .now_ns = far},
                                     0));
}

HF_TEST(the_explorer_finds_a_take_that_is_lost_between_reading_and_writing) /* trap 36 */
{
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: take | take",
                                                  .scripts = {{TAKE_ONE}, {TAKE_ONE}},
                                                  .wrong = true},
                                      0));
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: take | take, back",
                                                  .scripts = {{TAKE_ONE}, {TAKE_ONE, GIVE_BACK}},
                                                  .wrong = true},
                                      0));
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: take | change",
                                                  .scripts = {{TAKE_ONE}, {RESIZE_1}},
                                                  .wrong = true},
                                      0));
}
