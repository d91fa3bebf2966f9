"""The named endpoints of the API, with their types. What they do stands in `unmask.service.endpoints`."""

from collections.abc import Callable

import gradio as gr

from ui.gradio_compat import declare_endpoint
from unmask.service.endpoints import Endpoints
from unmask.service.rate_limit import ClientLimits, identify

Identify = Callable[[gr.Request | None], str]  # request -> client

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
PAGE = (("Page address", STRING, ""), MODEL, ("Title", STRING, ""))
JOB = ("Job", STRING, None)
REPORT = ("Progress, then the report", OBJECT)


def declare_api(endpoints: Endpoints, identify_request: Identify) -> None:
    """Publish the endpoints of the contract."""
    for endpoint, arguments, answer in (
        (endpoints.check_url, (LINK, MODEL, *SPAN), REPORT),
        (endpoints.check_file, (FILE, MODEL, *SPAN), REPORT),
        (endpoints.check_frames, (("Frames", FRAMES, None), *PAGE), REPORT),
        (endpoints.submit, (LINK, MODEL, *SPAN), ("Job", OBJECT)),
        (endpoints.job, (JOB,), ("State", OBJECT)),
        (endpoints.cancel, (JOB,), ("Outcome", OBJECT)),
        (endpoints.models, (), ("Models", OBJECTS)),
    ):
        declare_endpoint(endpoint, arguments, answer, identify_request)


def client_of(clients: ClientLimits, request: gr.Request | None) -> str:
    """Return the client that sent a request; gradio's requests to itself have no address."""
    address, headers = getattr(request, "client", None), getattr(request, "headers", None)
    return identify(getattr(address, "host", None), dict(headers or {}), clients)
