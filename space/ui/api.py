"""The named endpoints of the API. What they do stands in `unmask.service.endpoints`; here they are hung on gradio."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from unmask.service.endpoints import Endpoints
from unmask.service.rate_limit import Clients
from unmask.service.rate_limit import identify as identify_client

Identify = Callable[[Any], str]  # a request of gradio's -> who asks

STRING = {"type": "string"}
SECONDS = {"type": "number"}
MAYBE_SECONDS = {"oneOf": [{"type": "null"}, {"type": "number"}]}
OBJECT = {"type": "object", "additionalProperties": {}}
OBJECTS = {"type": "array", "items": OBJECT}
FRAME = {"type": "object", "properties": {"seconds": SECONDS, "jpeg": STRING}}
FRAMES = {"type": "array", "items": FRAME}
UPLOAD = gr.FileData.model_json_schema()

LINK = ("Link", STRING, None)  # label, JSON schema, default
FILE = ("Video file", UPLOAD, None)
MODEL = ("Model", STRING, "")
SPAN = (("Start in seconds", SECONDS, 0.0), ("End in seconds", MAYBE_SECONDS, None))
JOB = ("Job", STRING, None)


def declare_api(endpoints: Endpoints, identify: Identify) -> None:
    """The named endpoints of the contract."""
    declare = functools.partial(declare_endpoint, identify)
    page = (("Page address", STRING, ""), MODEL, ("Title", STRING, ""))
    declare(endpoints.check_url, (LINK, MODEL, *SPAN), ("Progress, then the report", OBJECT))
    declare(endpoints.check_file, (FILE, MODEL, *SPAN), ("Progress, then the report", OBJECT))
    declare(endpoints.check_frames, (("Frames", FRAMES, None), *page), ("Progress, then the report", OBJECT))
    declare(endpoints.submit, (LINK, MODEL, *SPAN), ("Job", OBJECT))
    declare(endpoints.job, (JOB,), ("State", OBJECT))
    declare(endpoints.cancel, (JOB,), ("Outcome", OBJECT))
    declare(endpoints.models, (), ("Models", OBJECTS))


def declare_endpoint(
    identify: Identify,
    endpoint: Callable[..., Any],
    arguments: Sequence[tuple[str, Any, Any]],
    answer: tuple[str, Any],
) -> None:
    """Hang an endpoint on a button that nobody sees. `Api` carries JSON as it is: endpoints check it."""
    gr.Button(visible=False).click(
        told_who_asks(endpoint, identify),
        [guarded(Api(default, schema, label)) for label, schema, default in arguments],
        Api(None, answer[1], answer[0]),
        api_name=endpoint.__name__,
        show_progress="hidden",
        concurrency_limit=None,  # the queue of jobs sets the limit
    )


def told_who_asks(endpoint: Callable[..., Any], identify: Identify) -> Callable[..., Any]:
    """The endpoint with a request, which gradio hands in, in the place of its `client`."""
    signature = inspect.signature(endpoint)
    if "client" not in signature.parameters:
        return endpoint

    @functools.wraps(endpoint)
    async def stream(*given: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(endpoint(*given[:-1], client=identify(given[-1]))) as items:
            async for item in items:
                yield item

    @functools.wraps(endpoint)
    def answer(*given: Any) -> Any:
        return endpoint(*given[:-1], client=identify(given[-1]))

    told: Any = stream if inspect.isasyncgenfunction(endpoint) else answer
    shown = [parameter for name, parameter in signature.parameters.items() if name != "client"]
    kind, hint = inspect.Parameter.POSITIONAL_OR_KEYWORD, gr.Request | None
    request = inspect.Parameter("request", kind, default=None, annotation=hint)
    told.__signature__ = signature.replace(parameters=[*shown, request])
    told.__annotations__ = {**endpoint.__annotations__, "request": hint}
    return told


def guarded(component: Any) -> Any:
    """Let a component that takes files take uploads only: gradio must not fetch URLs past our own guard."""
    store = component.async_move_resource_to_block_cache

    async def store_upload(url_or_file_path: Any) -> Any:
        address = str(url_or_file_path)
        return address if address.lower().startswith(("http:", "https:")) else await store(url_or_file_path)

    component.async_move_resource_to_block_cache = store_upload  # `to_upload` refuses an address
    return component


def asker(clients: Clients, request: Any) -> str:
    """Who sent a request of gradio's, which has no address where gradio asks itself."""
    client, headers = getattr(request, "client", None), getattr(request, "headers", None)
    return identify_client(getattr(client, "host", None), dict(headers or {}), clients)
