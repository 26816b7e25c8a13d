"""The controller of coroutines of tornado."""

from __future__ import annotations

import functools
from typing import Any

from tornado import gen

from holdfast.compat.tenacity._controller import BaseRetrying
from holdfast.compat.tenacity._state import DoAttempt, DoSleep, RetryCallState
from holdfast.compat.tenacity._utils import override

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tornado.concurrent import Future

__all__ = ["TornadoRetrying"]


class TornadoRetrying(BaseRetrying):
    """Tries what is decorated with ``tornado.gen.coroutine`` again.

    Args:
        sleep: Returns a future that is done after a number of seconds.
        **kwargs: The arguments of ``BaseRetrying``.

    Safe to share between event loops.
    """

    sleep: Callable[..., Any]

    def __init__(self, sleep: Callable[[float], Future[None]] = gen.sleep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sleep = sleep

    @gen.coroutine
    @override
    def __call__(
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Generator[Any, Any, Any]:
        self.begin()
        retry_state = RetryCallState(retry_object=self, fn=fn, args=args, kwargs=kwargs)
        policy = retry_state._policy or self._policy_of(fn)
        run: Callable[..., Any] = functools.partial(policy.run, fn, args, kwargs)
        while True:
            do = self.iter(retry_state=retry_state)
            if isinstance(do, DoAttempt):
                try:
                    result = yield run()
                except BaseException as error:  # noqa: BLE001 - judged by iter()
                    retry_state._ended_by(error)
                else:
                    retry_state.set_result(result)
            elif isinstance(do, DoSleep):
                retry_state.prepare_for_next_attempt()
                yield self.sleep(do)
            else:
                return do
