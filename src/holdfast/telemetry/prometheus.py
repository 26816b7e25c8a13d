"""Prometheus: a collector that reads policies at a scrape, and ways to serve what it reads.

Policies count natively: a call uses nothing of this module, and a scrape reads the counts. Servers
and applications are in ``serving``.

    from prometheus_client import REGISTRY
    REGISTRY.register(Collector())          # beside what an application exports already
    server = serve_metrics(9464)            # or at http://127.0.0.1:9464/metrics, alone
    app.mount("/metrics", asgi_app())       # or within an ASGI or WSGI application
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import ref

from holdfast.errors import MissingExtraError
from holdfast.locks import RLock
from holdfast.whole import Whole

try:
    from prometheus_client import CollectorRegistry
except ModuleNotFoundError as missing:
    if missing.name != "prometheus_client":  # something else is missing, in its own code
        raise
    raise MissingExtraError("prometheus", __name__) from None

from prometheus_client.core import Metric
from prometheus_client.registry import Collector as PrometheusCollector
from prometheus_client.samples import Sample

from holdfast.named import full_name
from holdfast.policies.base import Policy
from holdfast.registry import Registry, registry
from holdfast.stores.figures import COUNTS, KINDS, MANAGER, PIPELINE, add, kind_of
from holdfast.stores.ledger import ledger
from holdfast.stores.names import Bound, Names
from holdfast.stores.workers import Workers
from holdfast.telemetry.families import FAMILIES, NAMESPACE, by_role, named_by
from holdfast.telemetry.managed import (
    RESOURCES,
    is_manager,
    is_of,
    plain_names,
    policies_of,
    resources,
    with_plain_names,
)
from holdfast.telemetry.serving import AsgiApp, MetricsServer, wsgi_app_of
from holdfast.validation import Problems, explains_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any
    from wsgiref.types import WSGIApplication

    from holdfast.stores.figures import Figures
    from holdfast.stores.names import Name
    from holdfast.telemetry.families import Family
    from holdfast.telemetry.managed import Managed
    from holdfast.telemetry.serving import Asgi

    #: Values and samples of one policy in one family.
    Shown = tuple[Sequence[float], list[Sample]]

__all__ = ["Collector", "MetricsServer", "asgi_app", "serve_metrics", "wsgi_app"]

DEFAULT_PORT = 9464
MAX_NAMES = 100_000

_WORKERS = ("workers", "Living processes that share figures: those that have made a policy")
_UNREADABLE = ("workers_unreadable", "Files of other workers that cannot be read")


class Collector(Whole, PrometheusCollector):
    """Exports policies to Prometheus. It reads the counts at each scrape.

    Counters start at 0 when their policy is created; histograms and counters of rare events appear
    with the first event. A series disappears when its policy is garbage-collected. Policies with
    the same name share a series: counts are summed, including those of collected policies while
    another policy with this name exists; gauges show the worst state or the sum. If workers share a
    directory (``HOLDFAST_DIR``), this applies to all of them. The counters of dead workers and of
    collected policies then remain.

    Args:
        *sources: Managers, pipelines, policies or registries to export; none for all policies.
            Policies need a name. Of one manager alone, names are those that it knows; otherwise
            they are ``manager/name``.
        namespace: The prefix of all metric names.
        max_names: Names of each kind with their own series, 1 to 100,000. All further names share
            the series ``__other__``. Workers that share a directory choose the same names, at most
            20,000.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    A second collector with the same metric names in one Prometheus registry raises ``ValueError``
    there. Several registries, or several namespaces in one registry, are independent. A collector
    holds no reference to a policy. Safe to share between threads.

    >>> from prometheus_client import CollectorRegistry
    >>> CollectorRegistry().register(Collector(namespace="shop"))
    """

    @explains_names
    def __init__(
        self,
        *sources: Policy | Registry | Managed,
        namespace: str = "holdfast",
        max_names: int = 2_000,
    ) -> None:
        problems = Problems("Collector")
        if not NAMESPACE.fullmatch(namespace if type(namespace) is str else ""):
            problems.refuse(
                "namespace", namespace, "letters, digits and underscores, no digit first"
            )
        max_names = problems.integer("max_names", max_names, least=1, most=MAX_NAMES)
        for at, source in enumerate(sources):
            named = isinstance(source, Policy) and source.name is not None
            if not (named or isinstance(source, Registry) or is_manager(source)):
                problems.refuse(
                    f"sources[{at}]", source, "a manager, a pipeline, a named policy or a registry"
                )
        problems.done()
        self._prefix = f"{namespace}_"
        self._sources = [ref(source) for source in sources]
        names = {source.name for source in sources if is_manager(source)}
        self._plain = names.pop() if len(names) == len(sources) == 1 else None
        self._max_names = max_names
        self._last: list[dict[str, Shown]] = [{} for _ in FAMILIES]  # by policy
        self._begin()

    def describe(self) -> Iterator[Metric]:
        """Yield all metrics without samples. The registry uses them to detect name clashes."""
        return iter(self._empty().values())

    def collect(self) -> Iterator[Metric]:
        """Read all policies and yield their metrics.

        Raises:
            ConfigError: ``HOLDFAST_DIR`` is not a usable directory. The variable is read once.
            OSError: The other workers cannot be read, for example because this process has no
                descriptor left. A scrape returns the metrics of all workers or fails.
        """
        if self._process != os.getpid():  # forked: a thread of the parent may hold the lock
            self._begin()
        with self._lock:
            return iter(self._collect())

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = RLock()
        self._bound = Bound(self._max_names)
        self._names: Names | None = None
        self._workers: Workers | None = None

    def _collect(self) -> list[Metric]:
        figures, living, workers = self._read()
        if self._names is None or self._sources:
            figures = self._bound.hold(figures, living)
        else:
            writes = ledger.file is not None  # a process without policies only reads
            held = self._names.hold(figures, living, self._max_names, writes=writes)
            if self._names.has_chosen:
                figures, _, workers = self._read()
                held = self._names.hold_known(figures, self._max_names)
            figures = held
        roles = by_role(figures)
        metrics = self._empty()
        for family, last in zip(FAMILIES, self._last, strict=True):
            samples, present = metrics[family.name].samples, roles[family.role]
            for policy, there in present.items():
                values = family.read(there)
                if not values:
                    continue
                before = last.get(policy)
                if before is None or before[0] != values:
                    before = last[policy] = (values, self._samples(family, policy, values, before))
                samples += before[1]
            for policy in last.keys() - present.keys():
                del last[policy]
        for (name, _), value in workers:
            metrics[name].samples.append(Sample(self._prefix + name, {}, value))
        if self._managers() if self._sources else any(one[0] == KINDS[MANAGER] for one in living):
            for type_, *uses in resources():
                for name, value in zip(RESOURCES, uses, strict=True):
                    metrics[name].samples.append(
                        Sample(self._prefix + name, {"type": type_}, value)
                    )
        return [metric for metric in metrics.values() if metric.samples]

    def _samples(
        self, family: Family, policy: str, values: Sequence[float], last: Shown | None
    ) -> list[Sample]:
        """Return the samples of one policy; names, labels and what is as before, from before."""
        if last is None or len(last[1]) != len(values):
            names = named_by(family.role, policy)
            return [
                Sample(
                    self._prefix + family.name + suffix,
                    dict(zip(family.labels, (*names, *labels), strict=False)),
                    value,
                )
                for (suffix, labels), value in zip(family.rows, values, strict=False)
            ]
        return [
            sample if sample[2] == value else Sample(sample[0], sample[1], value)
            for sample, value in zip(last[1], values, strict=True)
        ]

    def _empty(self) -> dict[str, Metric]:
        metrics = {
            family.name: Metric(self._prefix + family.name, family.help, family.type)
            for family in FAMILIES
        }
        for name, documentation in (_WORKERS, _UNREADABLE):
            metrics[name] = Metric(self._prefix + name, documentation, "gauge")
        return metrics

    def _read(self) -> tuple[Figures, set[Name], list[tuple[tuple[str, str], int]]]:
        """Return the figures and living names of all workers, and what to say of the workers."""
        figures, living, workers = self._read_all()
        if self._plain is not None:
            figures, living = (
                with_plain_names(self._plain, figures),
                plain_names(self._plain, living),
            )
        return figures, living, workers

    def _read_all(self) -> tuple[Figures, set[Name], list[tuple[tuple[str, str], int]]]:
        ledger.find()  # a process without policies answers for the others too
        policies = list(self._policies()) if self._sources else None
        managers = self._managers()
        named = {(one.kind, full_name(one)) for one in policies or ()}
        known = named | self._bound.choice.others  # what is exported of some policies
        figures = ledger.figures(policies, known if ledger.directory else ())
        living = named
        if policies is None or managers:
            here = ledger.living() | registry._names("pipeline")
            living = here if policies is None else named | _names_of(managers, here)
        for key, there in ledger.figures().items() if managers else ():
            if is_of(managers, *kind_of(key)):
                figures[key] = there
        if ledger.directory is None:
            return _with_idle(_of(living, figures), living), living, []
        if self._workers is None:
            self._workers = Workers(ledger.directory)
            self._names = Names(ledger.directory)
        view = self._workers.look(ledger.file, is_new=ledger.is_new)
        if policies is None:
            living |= view.living
        elif managers:
            living |= _names_of(managers, view.living)
        for key, there in view.figures.items():
            named_by = kind_of(key)
            if policies is None or named_by in known or is_of(managers, *named_by):
                add(figures, key, there.counts)
                figures[key].states += there.states
        alive = view.alive + (ledger.file is not None)
        return (
            _with_idle(figures, living),
            living,
            [(_WORKERS, alive), (_UNREADABLE, view.unreadable)],
        )

    def _managers(self) -> set[str]:
        """Return the names of the living managers among its sources."""
        living: list[object] = [reference() for reference in self._sources]
        return {source.name for source in living if is_manager(source)}

    def _policies(self) -> Iterator[Any]:
        """Yield the living policies it was asked to tell of."""
        for reference in self._sources:
            source: Any = reference()
            if isinstance(source, Registry):
                yield from source.all()
            elif is_manager(source):
                yield from policies_of(source)
            elif source is not None:
                yield from _parts_of(source)


def _parts_of(policy: Any) -> Iterator[Any]:
    if policy.name is not None:
        yield policy
    if policy.kind == "pipeline":
        for part in policy.policies:
            yield from _parts_of(part)


def _names_of(managers: set[str], names: set[Name]) -> set[Name]:
    return {one for one in names if is_of(managers, *one)}


def _with_idle(figures: Figures, living: set[Name]) -> Figures:
    """Add pipelines without a call: what counts their calls is made for the first."""
    for kind, name in living:
        if kind == KINDS[PIPELINE] and (PIPELINE, name) not in figures:
            add(figures, (PIPELINE, name), [0] * COUNTS[PIPELINE])
    return figures


def _of(known: set[tuple[str, str]], figures: Figures) -> Figures:
    """Return the figures of names that somebody has."""
    return {key: there for key, there in figures.items() if kind_of(key) in known}


def serve_metrics(
    port: int = DEFAULT_PORT,
    *,
    host: str = "127.0.0.1",
    registry: CollectorRegistry | None = None,
) -> MetricsServer:
    """Serve the metrics over HTTP at ``/metrics``, by default on the loopback interface.

    Args:
        port: 1 to 65535; 0 selects a free port.
        host: The address to listen on.
        registry: The registry to serve; None for a ``Collector`` of all policies and no other
            metrics.

    Raises:
        ConfigError: An argument is invalid.
        OSError: The port is not available.

    Several workers cannot listen on one port. With ``HOLDFAST_DIR`` any one process returns the
    metrics of all workers: call this function in the master process or in one worker. A forked
    child does not serve, and does not occupy the port.

    A scrape that fails is answered with status 500 and the reason.
    """
    problems = Problems("serve_metrics")
    port = problems.integer("port", port, least=0, most=65_535)
    host = problems.name(host, "host")
    problems.done()
    return MetricsServer(host, port, _registry_of(registry))


def wsgi_app(registry: CollectorRegistry | None = None) -> WSGIApplication:
    """Return a WSGI application that returns the metrics for any path, to be mounted at a path.

    A scrape that fails is answered with status 500 and the reason.

    Args:
        registry: The registry to serve; None for a ``Collector`` of all policies and no other
            metrics.
    """
    return wsgi_app_of(_registry_of(registry))


def asgi_app(registry: CollectorRegistry | None = None) -> Asgi:
    """Return an ASGI application that returns the metrics for any path, to be mounted at a path.

    A thread that runs only during scrapes reads the policies: the event loop is not blocked, and
    its executor is not used. Scrapes at the same time are answered one after the other. A scrape
    that fails is answered with status 500 and the reason.

    Args:
        registry: The registry to serve; None for a ``Collector`` of all policies and no other
            metrics.
    """
    return AsgiApp(_registry_of(registry))


def _registry_of(registry: CollectorRegistry | None) -> CollectorRegistry:
    if registry is None:
        registry = CollectorRegistry()
        registry.register(Collector())
    elif not callable(getattr(registry, "collect", None)):
        problems = Problems()
        problems.refuse(
            "registry", registry, "a CollectorRegistry in which a Collector is registered, or None"
        )
        problems.done()
    return registry
