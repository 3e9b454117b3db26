"""The application: routes, errors as sentences, the guard around all of it, and its server."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

import kinoscope
from kinoscope.errors import KinoscopeError
from kinoscope.index.handle import Index
from kinoscope.server import api, openai, page, watching
from kinoscope.server.config import ServeConfig
from kinoscope.server.faults import answer, answer_of
from kinoscope.server.guard import Guard
from kinoscope.server.metrics import Metrics
from kinoscope.server.schema import SearchRequest
from kinoscope.server.service import Service

log = logging.getLogger(__name__)

_ROUTERS = (api.router, openai.router, page.router, watching.router)
_FAREWELL_S = 10
_WAITING = 512  # connections that are not taken yet
_IDLE_S = 75  # longer than proxies keep theirs: they would ask again over one that is closing
_ABOUT = (
    "Moments of a library of videos for texts, pictures, pieces of video and edits; vectors over"
    " the OpenAI interface. Errors are `{error: {type, message, code}}`. Where a token is set it"
    " goes into `Authorization: Bearer TOKEN`."
)


def create_app(index: Index, config: ServeConfig) -> FastAPI:
    """An ASGI application that serves an index; its lifespan's end closes all parts.

    Loads the model and reads the index now. Raises as `Service.start`.
    """
    service = Service.start(index, config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.closing.set()
        await run_in_threadpool(service.close)

    app = _routed(lifespan)
    app.state.service, app.state.listeners = service, set()
    app.state.closing = asyncio.Event()
    _add_errors(app, service.metrics)
    app.add_middleware(Timed, metrics=service.metrics)
    app.add_middleware(Guard, config=config)  # the last added is the first to see a request
    return app


def interface() -> dict[str, Any]:
    """The OpenAPI description of every server's routes, without a server."""
    return _routed(None).openapi()


class _Api(FastAPI):
    """Describes the body of a search as well, which its route reads by itself."""

    def openapi(self) -> dict[str, Any]:
        """As FastAPI's."""
        described = super().openapi()
        search = SearchRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        known = described["components"]["schemas"]
        known.update({**search.pop("$defs"), "SearchRequest": search})
        return described


def _routed(lifespan: Lifespan[FastAPI] | None) -> FastAPI:
    app = _Api(
        title="Kinoscope",
        version=kinoscope.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for router in _ROUTERS:
        app.include_router(router)
    return app


class Timed:
    """Counts answers and their seconds by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and listens to the status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.stage("request"):
            try:
                await self._app(scope, receive, sent)
            finally:
                route = scope.get("route")
                self._metrics.answered(getattr(route, "path", "none"), status)


def _add_errors(app: FastAPI, metrics: Metrics) -> None:
    async def told(_request: Request, error: Exception) -> Response:
        assert isinstance(error, KinoscopeError)
        metrics.failed(type(error).__name__)
        return answer_of(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        metrics.failed("Invalid")
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error), "Invalid")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods_at(request.url.path)))
        return answer(error.status_code, str(error.detail), "Refused", headers)

    async def broken(request: Request, error: Exception) -> Response:
        metrics.failed("Internal")
        log.error("fault of ours at %s %s", request.method, request.url.path, exc_info=error)
        message = "a fault of the server, which its log tells: please report it"
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, message, "Internal")

    app.add_exception_handler(KinoscopeError, told)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, broken)


def _methods_at(path: str) -> set[str]:
    """All methods of a path, of which each route knows but its own."""
    routes = [route for router in _ROUTERS for route in router.routes]
    found = (route for route in routes if isinstance(route, APIRoute))
    return {
        method for route in found if route.path_regex.match(path) for method in route.methods or ()
    }


def _sentence(error: RequestValidationError) -> str:
    """Where and why, without what was sent: `body.k: Input should be less than 200`."""
    told = [
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in error.errors()[:5]
    ]
    return "; ".join(told)[:1000]


class _Server(uvicorn.Server):
    """Tells streams of events that the server goes, before it waits for them."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As Uvicorn's."""
        self._closing.set()
        await super().shutdown(sockets)


def serve(index: Index, config: ServeConfig, *, ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, then ends what is at work; `ready` is told the address.

    Raises as `create_app`, and `OSError` where the address is taken.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listening:
        listening.bind((config.host, config.port))
        app = create_app(index, config)
        settings = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # or any client could claim to be another
            timeout_graceful_shutdown=_FAREWELL_S,
            backlog=_WAITING,
            timeout_keep_alive=_IDLE_S,
        )
        listening.listen(_WAITING)  # who comes before all is set up waits
        host = f"[{config.host}]" if ":" in config.host else config.host
        if ready is not None:
            ready(f"http://{host}:{listening.getsockname()[1]}")
        _Server(settings, app.state.closing).run(sockets=[listening])
