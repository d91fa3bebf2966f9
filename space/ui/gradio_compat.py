"""All that the Space uses of gradio beyond its documented interface; `tests/ui/test_gradio_compat.py` tests each."""

import functools
import inspect
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, get_origin

import gradio as gr
import gradio.mcp
from gradio.components.api_component import Api

# Without it `launch` asks for its own page and gives up where that takes over three seconds, as on a busy machine.
LAUNCH_OPTIONS: dict[str, Any] = {"_frontend": False}
IDLE_SECONDS = 0.02  # between two looks into an empty queue; gradio's millisecond takes a tenth of a core

Argument = tuple[str, Any, Any]  # label, JSON schema, default


def declare_endpoint(
    endpoint: Callable[..., Any],
    arguments: Sequence[Argument],
    answer: tuple[str, Any],  # label, JSON schema
    identify: Callable[[gr.Request | None], str],
) -> None:
    """Publish a function under its own name. JSON is passed as it is: the function checks it.

    `gr.api` would do, but knows no schema of an uploaded file.
    """
    gr.Button(visible=False).click(
        with_request(endpoint, identify),
        [uploads_only(Api(default, schema, label)) for label, schema, default in arguments],
        Api(None, answer[1], answer[0]),
        api_name=endpoint.__name__,
        show_progress="hidden",
        concurrency_limit=None,  # the queue of jobs sets the limit
    )


def with_request(endpoint: Callable[..., Any], identify: Callable[[gr.Request | None], str]) -> Callable[..., Any]:
    """Replace the argument `client` by a request, which gradio recognises by its annotation and passes last."""
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

    function: Any = stream if get_origin(signature.return_annotation) is AsyncGenerator else answer
    others = [parameter for name, parameter in signature.parameters.items() if name != "client"]
    kind, hint = inspect.Parameter.POSITIONAL_OR_KEYWORD, gr.Request | None
    request = inspect.Parameter("request", kind, default=None, annotation=hint)
    function.__signature__ = signature.replace(parameters=[*others, request])
    function.__annotations__ = {**endpoint.__annotations__, "request": hint}
    return function


def uploads_only(component: Any) -> Any:
    """Let a component accept uploaded files only: gradio must not fetch URLs past our guard."""
    store = component.async_move_resource_to_block_cache

    async def store_upload(url_or_file_path: Any) -> Any:
        address = str(url_or_file_path)
        return address if address.lower().startswith(("http:", "https:")) else await store(url_or_file_path)

    component.async_move_resource_to_block_cache = store_upload  # `inputs.to_upload` refuses an address
    return component


def rest_when_idle(page: gr.Blocks) -> None:
    """Let the queue of a page look less often whether there is something to do."""
    page._queue.sleep_when_free = IDLE_SECONDS
    page._queue.progress_update_sleep_when_free = IDLE_SECONDS


def use_upload_folder(folder: Path) -> None:
    """Let uploads, and what the page shows, lie in `folder`, also those of MCP clients."""
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    gradio.mcp.DEFAULT_TEMP_DIR = str(folder)  # read from the variable when it was imported
