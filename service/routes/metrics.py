"""/metrics: what Prometheus scrapes."""

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.dependencies import MetricsDep
from service.requests.routing import Route
from service.transport.admission import SCRAPES

router = APIRouter(tags=["service"], route_class=Route)


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(SCRAPES)],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_metrics(metrics: MetricsDep) -> Response:
    """Queue, jobs, leases, disk, and how requests are answered, in Prometheus's text format."""
    return Response(metrics.written(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)
