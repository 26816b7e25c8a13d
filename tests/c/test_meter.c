/* Contract of hf_meter.h: numbers stay apart, and a forked child has none of them. */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

static hf_meter
fresh(void)
{
    hf_meter m;
    memset(&m, 0xFF, sizeof m);
    hf_meter_init(&m);
    return m;
}

HF_TEST(each_number_is_its_own)
{
    hf_meter m = fresh();
    uint64_t out[HF_FIGURES_MOST];
    hf_meter_count(&m, 0, 1);
    hf_meter_count(&m, 1, 5);
    hf_meter_count(&m, 1, 2);
    hf_meter_set(&m, 0, 9);
    hf_meter_set(&m, 0, 3);
    hf_meter_set(&m, 1, 4);
    HF_CHECK_INT(hf_meter_figures(&m, out), HF_METER_COUNTS + HF_METER_NUMBERS);
    HF_CHECK_INT(out[HF_AT_METER_counted], 1);
    HF_CHECK_INT(out[HF_AT_METER_counted + 1], 7);
    HF_CHECK_INT(out[HF_METER_COUNTS], 3);
    HF_CHECK_INT(out[HF_METER_COUNTS + 1], 4);
}

HF_TEST(it_begins_and_is_forgotten_with_nothing)
{
    hf_meter m = fresh();
    uint64_t out[HF_FIGURES_MOST];
    for (int times = 0; times < 2; times++) {
        size_t numbers = hf_meter_figures(&m, out);
        for (size_t at = 0; at < numbers; at++)
            HF_CHECK_INT(out[at], 0);
        hf_meter_count(&m, 0, 2);
        hf_meter_set(&m, 1, 1);
        hf_meter_forget(&m);
    }
}
