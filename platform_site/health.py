"""What machines ask: does the process live, may it be sent requests, how does the fleet stand.

`/healthz` and `/readyz` are open and tell nothing of the tenants. `/metrics` tells how many there are, so it answers
only staff (a session or a token) and callers on this very machine; to anyone else the page does not exist.
"""

import ipaddress
import os
from collections.abc import Iterator

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from tenants.models import Rollout, Tenant
from tenants.routing.pool import process_pool

POOL_COUNTERS = {
    "opened": "Connections opened.",
    "reused": "Connections taken from the pool.",
    "evicted": "Connections closed to make room for another tenant's.",
    "found_dead": "Idle connections that the server had ended.",
    "timed_out": "Threads that waited in vain.",
    "waited_seconds": "Seconds waited for a connection, all threads together.",
}
FORWARDED_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nothing of the databases: restarting us would not mend them."""
    return JsonResponse({"status": "ok"})


@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """The main database answers and has every migration of this code; otherwise 503 with the reason."""
    reason = _why_not_ready()
    if reason:
        return JsonResponse({"status": "unavailable", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


@extend_schema(exclude=True)
@api_view(["GET"])
@permission_classes([AllowAny])
def metrics(request: Request) -> HttpResponse:
    """Prometheus' text format: tenants and rollouts by state, and this process's pool of connections.

    One GROUP BY each for the former; 503 where main does not answer.
    """
    try:
        if not (_comes_from_this_machine(request) or request.user.is_staff):
            raise Http404
        registry = CollectorRegistry(auto_describe=False)
        registry.register(FleetCollector())
        registry.register(PoolCollector())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        return HttpResponse("the main database does not answer\n", status=503, content_type="text/plain")


class FleetCollector(Collector):
    """Read from the main database at each scrape, so it is right with any number of processes."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _by_state("silo_tenants", "Tenants by state.", Tenant)
        yield _by_state("silo_rollouts", "Rollouts by state.", Rollout)


class PoolCollector(Collector):
    """Of the process that happens to answer, so each sample carries its number."""

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        pool, process = process_pool(), str(os.getpid())
        sessions = GaugeMetricFamily(
            "silo_pool_connections", "Connections to tenants' databases.", labels=["process", "state"]
        )
        waiting = GaugeMetricFamily("silo_pool_waiting", "Threads that wait for a connection.", labels=["process"])
        size = GaugeMetricFamily("silo_pool_size", "How many connections there may be.", labels=["process"])
        numbers = pool.numbers()
        for state in ("in_use", "idle"):
            sessions.add_metric([process, state], numbers[state])
        waiting.add_metric([process], numbers["waiting"])
        size.add_metric([process], pool.limits.size)
        yield from (sessions, waiting, size)
        for name, help_text in POOL_COUNTERS.items():
            family = CounterMetricFamily(f"silo_pool_{name}", help_text, labels=["process"])
            family.add_metric([process], getattr(pool.counts, name))
            yield family


def _by_state(name: str, help_text: str, model: type[Tenant] | type[Rollout]) -> GaugeMetricFamily:
    rows = model.objects.using("default").order_by().values_list("state").annotate(number=Count("pk"))
    numbers = dict.fromkeys(model.State.values, 0) | dict(rows)
    family = GaugeMetricFamily(name, help_text, labels=["state"])
    for state, number in numbers.items():
        family.add_metric([state], number)
    return family


def _why_not_ready() -> str:
    try:
        executor = MigrationExecutor(connections["default"])
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "the main database does not answer"
    return "the main database is behind: run manage.py migrate" if behind else ""


def _comes_from_this_machine(request: Request) -> bool:
    """A direct call over the loopback. One that a proxy on this machine passes on comes from anywhere."""
    if any(header in request.headers for header in FORWARDED_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
