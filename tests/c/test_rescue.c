/* Contract of hf_rescue.h: a truncated file takes no process with it, and other faults do. */
#include "hf_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "holdfast/hf_rescue.h"

enum { PAGES = 4 };

static unsigned char *region, *copy;
static hf_rescue *watched;
static size_t page;
static int fd;

/* A file of four pages of 'f', mapped and watched; its copy is of 'c', 'd', 'e' and 'f'. */
static void
begin(bool copied)
{
    char path[] = "/tmp/hf-rescue-XXXXXX";
    HF_CHECK(hf_rescue_install());
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = mkstemp(path);
    unlink(path);
    HF_CHECK(ftruncate(fd, (off_t)(PAGES * page)) == 0);
    region = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memset(region, 'f', PAGES * page);
    copy = malloc(PAGES * page);
    for (int i = 0; i < PAGES; i++)
        memset(copy + (size_t)i * page, 'c' + i, page);
    watched = hf_rescue_watch(region, PAGES * page, copied ? copy : NULL);
    HF_CHECK(watched != NULL);
}

static void
end(void)
{
    hf_rescue_leave(watched);
    munmap(region, PAGES * page);
    free(copy);
    close(fd);
}

HF_TEST(a_page_that_was_cut_off_is_what_the_copy_says)
{
    begin(true);
    HF_CHECK(!hf_rescue_has_lost(watched));
    HF_CHECK(ftruncate(fd, (off_t)page) == 0);
    HF_CHECK_INT(region[0], 'f');
    HF_CHECK_INT(region[2 * page + 7], 'e');
    HF_CHECK(hf_rescue_has_lost(watched));
    errno = EDOM;
    region[page] = 'w'; /* a write as well */
    HF_CHECK_INT(errno, EDOM);
    HF_CHECK_INT(region[page], 'w');
    HF_CHECK_INT(region[page + 1], 'd');
    HF_CHECK_INT(region[3 * page], 'f');
    end();
}

HF_TEST(what_was_written_since_a_page_was_replaced_stays)
{
    begin(true);
    const bool told = hf__rescue_look(region) == HF__PAGE_THERE;
    HF_CHECK(ftruncate(fd, 0) == 0);
    region[page] = 'w';
    if (told) { /* the handler of another thread, which has waited for the one above */
        HF_CHECK(hf__rescue_at(watched, (uintptr_t)region + page));
        HF_CHECK_INT(region[page], 'w');
    }
    end();
}

HF_TEST(a_region_that_has_grown_is_watched_to_its_end)
{
    begin(true);
    hf_rescue_leave(watched);
    watched = hf_rescue_watch(region, page, copy);
    hf_rescue_grow(watched, PAGES * page);
    HF_CHECK(ftruncate(fd, 0) == 0);
    HF_CHECK_INT(region[3 * page], 'f');
    HF_CHECK(hf_rescue_has_lost(watched));
    hf_rescue_renew(watched); /* it is mapped anew */
    HF_CHECK(!hf_rescue_has_lost(watched));
    end();
}

HF_TEST(without_a_copy_it_is_zeros)
{
    begin(false);
    HF_CHECK(ftruncate(fd, 0) == 0);
    HF_CHECK_INT(region[0], 0);
    HF_CHECK_INT(region[PAGES * page - 1], 0);
    end();
}

HF_TEST(a_region_that_was_left_is_used_again)
{
    begin(false);
    hf_rescue *before = watched;
    end();
    begin(true);
    HF_CHECK(watched == before && !hf_rescue_has_lost(watched));
    end();
}

enum { ROUNDS = 50000 };

/* How often another thread was given the region that this one uses. */
static void *
watch_and_leave(void *address)
{
    uintptr_t taken = 0;
    for (int i = 0; i < ROUNDS; i++) {
        HF_CHECK(hf_rescue_install());
        hf_rescue *mine = hf_rescue_watch(address, 1, NULL);
        taken += (uintptr_t)hf_load_acquire(&mine->base) != (uintptr_t)address;
        hf_rescue_leave(mine);
    }
    return (void *)taken;
}

HF_TEST(each_thread_that_watches_has_a_region_of_its_own)
{
    pthread_t threads[2];
    char address[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, watch_and_leave, &address[i]);
    for (int i = 0; i < 2; i++) {
        void *taken;
        pthread_join(threads[i], &taken);
        HF_CHECK(taken == NULL);
    }
}

/* What a child that runs `scene` ends with: minus the signal, or its exit status. */
static int
ending(void (*scene)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        scene();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* As in a process that has not installed the handler yet, and has this one: a sanitizer brings its own. */
static void
begin_after(void (*handler)(int))
{
    memset(&hf__rescue, 0, sizeof hf__rescue);
    signal(SIGBUS, handler);
    begin(true);
}

static void
fault_elsewhere_after(void (*handler)(int))
{
    begin_after(handler);
    hf_rescue_leave(watched);
    HF_CHECK(ftruncate(fd, 0) == 0);
    region[0] = 1;
}

static void
fault_elsewhere(void)
{
    fault_elsewhere_after(SIG_DFL);
}

static void
fault_in_the_page_after(void)
{
    begin_after(SIG_DFL);
    hf_rescue_leave(watched);
    watched = hf_rescue_watch(region, page, copy);
    HF_CHECK(ftruncate(fd, 0) == 0);
    region[page] = 1;
}

static void
raise_it(void)
{
    begin_after(SIG_DFL);
    raise(SIGBUS);
}

HF_TEST(a_fault_elsewhere_ends_the_process_as_before)
{
    HF_CHECK_INT(ending(fault_elsewhere), -SIGBUS);
    HF_CHECK_INT(ending(fault_in_the_page_after), -SIGBUS);
    HF_CHECK_INT(ending(raise_it), -SIGBUS);
}

static void
fault_where_a_thread_of_the_parent_replaced_a_page(void)
{
    hf_store_relaxed(&hf__rescue.busy, 1); /* as the handler in another thread has it */
    if (fork() == 0) {
        hf_rescue_forget();
        begin(true);
        HF_CHECK(ftruncate(fd, 0) == 0);
        alarm(5);
        _exit(region[0] == 'c' ? 7 : 1);
    }
    int status = 0;
    wait(&status);
    _exit(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

HF_TEST(a_forked_child_waits_for_no_handler_of_its_parent)
{
    HF_CHECK_INT(ending(fault_where_a_thread_of_the_parent_replaced_a_page), 7);
}

static void
note(int number)
{
    (void)number;
    _exit(42);
}

static void
fault_elsewhere_with_a_handler(void)
{
    fault_elsewhere_after(note);
}

HF_TEST(a_fault_elsewhere_goes_to_the_handler_before)
{
    HF_CHECK_INT(ending(fault_elsewhere_with_a_handler), 42);
}

static struct sigaction ours;

static void
pass_on(int number)
{
    sigaction(SIGBUS, &ours, NULL); /* as faulthandler does */
    raise(number);
}

static void
truncate_behind_another_handler(void)
{
    begin(true);
    sigaction(SIGBUS, NULL, &ours);
    signal(SIGBUS, pass_on);
    HF_CHECK(ftruncate(fd, 0) == 0);
    _exit(region[page] == 'd' ? 7 : 8);
}

HF_TEST(another_handler_may_pass_the_signal_on_without_the_address)
{
    begin(true);
    const bool told = hf__rescue_look(region) == HF__PAGE_THERE;
    end();
    if (told) /* Linux 5.14 and later */
        HF_CHECK_INT(ending(truncate_behind_another_handler), 7);
}
