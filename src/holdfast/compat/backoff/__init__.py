"""The face of backoff: functions that are tried again, counted by the retry of holdfast.

>>> import holdfast.compat.backoff as backoff
>>> answers = iter([ConnectionError(), "ok"])
>>> @backoff.on_exception(backoff.constant, ConnectionError, interval=0, max_tries=3)
... def fetch():
...     answer = next(answers)
...     if isinstance(answer, Exception):
...         raise answer
...     return answer
>>> fetch()
'ok'
"""

from holdfast.compat.backoff._decorator import on_exception, on_predicate
from holdfast.compat.backoff._jitter import full_jitter, random_jitter
from holdfast.compat.backoff._wait_gen import constant, expo, fibo, runtime

__all__ = [
    "constant",
    "expo",
    "fibo",
    "full_jitter",
    "on_exception",
    "on_predicate",
    "random_jitter",
    "runtime",
]

__version__ = "2.2.1"
