"""Guarded and unguarded traffic, side by side, to an upstream that degrades on a schedule.

schedule  when the upstream is healthy, flaky, slow, failing, killed and back (pure)
upstream  the HTTP server, a program of its own (standard library only)
process   that program's life: start, change, kill -9, start again
client    one HTTP call, for threads and for asyncio, and what its ending means
guard     the manager in front of the guarded side: the one user of the policies
traffic   calls at a fixed rate from threads and from asyncio tasks
tally     what came of the calls (counts and latencies, no clock)
chronicle what happened when: phases, kills, breaker transitions
scene     everything a display shows of one moment
lines     plain text display;  table: live display (needs rich)
report    the summary at the end
run       puts these together
"""
