"""A small collector of traces: OTLP over HTTP on loopback, every span kept in memory, for whoever measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

REQUEST_BYTES_MAX: Final = 64 * 1024 * 1024
HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it came.  Ids are hexadecimal, as in a `traceparent`."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    begun_ns: int
    ended_ns: int
    links: tuple[tuple[str, str], ...]
    attributes: Mapping[str, Any]
    failed: bool

    @property
    def milliseconds(self) -> float:
        """How long it lasted."""
        return (self.ended_ns - self.begun_ns) / 1e6


class Collector:
    """Takes spans for as long as the block lasts."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT has to be."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=REQUEST_BYTES_MAX)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            service = str(_attributes(resource.resource.attributes)["service.name"])
            self.spans.extend(_seen(service, span) for scope in resource.scope_spans for span in scope.spans)
        return web.Response(content_type="application/x-protobuf")


def _seen(service: str, span: OtlpSpan) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        begun_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_attributes(span.attributes),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
    )


def _attributes(found: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in found if isinstance(one, KeyValue)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
