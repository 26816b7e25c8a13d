/* Contract of hf_fallback.h: four counts, each its own. */
#include "hf_test.h"

#include "holdfast/hf_fallback.h"

HF_TEST(it_begins_with_nothing_counted)
{
    hf_fallback f;
    memset(&f, 0xFF, sizeof f);
    hf_fallback_init(&f);
    HF_CHECK_INT(hf_load_relaxed(&f.passed), 0);
    HF_CHECK_INT(hf_load_relaxed(&f.used), 0);
    HF_CHECK_INT(hf_load_relaxed(&f.failed), 0);
    HF_CHECK_INT(hf_load_relaxed(&f.observed), 0);
}

HF_TEST(each_count_is_its_own)
{
    hf_fallback f;
    hf_fallback_init(&f);
    hf_count(&f.passed, 1);
    hf_count(&f.used, 2);
    hf_count(&f.failed, 3);
    hf_count(&f.observed, 4);
    HF_CHECK_INT(hf_load_relaxed(&f.passed), 1);
    HF_CHECK_INT(hf_load_relaxed(&f.used), 2);
    HF_CHECK_INT(hf_load_relaxed(&f.failed), 3);
    HF_CHECK_INT(hf_load_relaxed(&f.observed), 4);
    HF_CHECK(sizeof(hf_fallback) <= 64);
}
