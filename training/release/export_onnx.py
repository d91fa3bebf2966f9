"""Export a model folder and the face finder as ONNX, for the extension, which runs them in the browser.

    python -m training.publish --onnx --model-folder space/unmask/models/weights/mobilenet-gru --out extension/models

Writes `model.onnx` (one clip of any number of frames, normalised, -> its logit, that of each frame alone, and
the last feature maps), `heat.onnx` (maps of a face, blurred and sharp, -> the heat of each place), MTCNN's
`pnet.onnx`, `rnet.onnx` and `onet.onnx`, and `config.json`, the model's own with its revision. The model's weights
stay the float16 numbers of its own file, which halves what a person downloads: batch norms are fused when ONNX Runtime
loads it, in float32. Each network is run by ONNX Runtime on noise and must say what torch says, or nothing is left.
"""

import dataclasses
import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from unmask.faces.mtcnn import ONet, PNet, RNet, load
from unmask.models import checkpoint, inference
from unmask.models.architectures import MobileNetGru, VideoModel
from unmask.models.saliency import GRADIENT_STEPS

OPSET = 17
MAX_ERROR = 1e-3  # of a logit, or of the hottest place; maps, scores and box offsets stay far below
LARGE_BYTES = 4096  # of a weight
CPU = torch.device("cpu")


class OneClip(nn.Module):
    """A model for one clip without padding: (T, 3, S, S) -> logit (1,), logits of frames (T,), maps (T, C, h, w)."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logit of the clip, those of its frames, and the feature maps."""
        maps = self.model.frame_features(data)
        vectors = self.model.frame_vectors(maps)
        mask = torch.ones(1, vectors.shape[0], dtype=torch.bool)
        together = self.model.sequence_logits(vectors[None], mask)
        return together, self.model.sequence_logits(vectors[:, None], mask.T), maps


class Heat(nn.Module):
    """A heatmap module: last feature maps of a face, blurred and sharp (2, C, h, w) -> heat (h, w).

    What `explain.heatmap` says of a clip of this one frame, before it makes the hottest place 1.
    """

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Tensor) -> Tensor:
        """Return the heat of each place."""
        start, change = data[:1], data[1:] - data[:1]
        shares = (torch.arange(GRADIENT_STEPS) + 0.5) / GRADIENT_STEPS
        gradients = torch.func.grad(self._logits)(start + shares.view(-1, 1, 1, 1) * change)
        return (change[0] * gradients.mean(0)).sum(0).abs()

    def _logits(self, maps: Tensor) -> Tensor:
        """Sum over clips of one frame, whose gradients do not mix."""
        mask = torch.ones(len(maps), 1)  # not of bools: the exporter does not turn them into numbers
        return self.model.temporal(maps[:, None], mask).sum(0)

    def written_out(self, data: Tensor) -> nn.Module:
        """Trace the module to plain operations, as the exporter cannot export gradients."""
        plain: Any = torch.export.default_decompositions()  # typed more narrowly than what takes it
        return make_fx(self, decomposition_table=plain)(data)


@dataclass(frozen=True)
class Network:
    """One file to write."""

    name: str
    module: nn.Module
    sizes: tuple[tuple[int, ...], ...]  # of inputs: the first to export with, all to compare with
    free: tuple[int, ...]  # axes of the input that may have any length
    outputs: tuple[str, ...]
    is_relative: bool = False  # MAX_ERROR is a share of the largest number


def write(folder: Path, out: Path) -> None:
    """Export a model folder and print what was written."""
    for path in export(folder, out):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def export(folder: Path, out: Path) -> list[Path]:
    """Write the files of a model folder into `out` -> their paths.

    Raises SystemExit when one differs, and for a model that ONNX cannot express.
    """
    config, model = checkpoint.read_config(folder), inference.load(str(folder), CPU)
    model = dataclasses.replace(model, module=checkpoint.restore(folder).eval().requires_grad_(False))
    if not isinstance(model.module, MobileNetGru):
        raise SystemExit(f"only a mobilenet-gru can be written as ONNX, this is a {config.architecture}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        made = [_write(network, Path(scratch)) for network in networks(model)]
        told = {"schema": checkpoint.SCHEMA, **dataclasses.asdict(config), "revision": model.revision}
        made.append(Path(scratch) / "config.json")
        made[-1].write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        return [path.replace(out / path.name) for path in made]


def networks(model: inference.LoadedModel) -> list[Network]:
    """List the networks of a model and of the face finder."""
    spec = model.spec
    clips = tuple((frames, 3, spec.side_px, spec.side_px) for frames in (spec.frames_per_clip, 1))
    with torch.no_grad():
        maps = tuple(model.module.frame_features(torch.zeros(2, *clips[0][1:])).shape)
    boxes = ("score", "offset")
    return [
        Network("model", OneClip(model.module), clips, (0,), ("logit", "alone", "maps")),
        Network("heat", Heat(model.module), (maps,), (), ("heat",), is_relative=True),
        Network("pnet", load(PNet(), CPU), ((2, 3, 90, 160), (1, 3, 12, 17)), (0, 2, 3), boxes),
        Network("rnet", load(RNet(), CPU), ((2, 3, 24, 24), (5, 3, 24, 24)), (0,), boxes),
        Network("onet", load(ONet(), CPU), ((2, 3, 48, 48), (5, 3, 48, 48)), (0,), (*boxes, "points")),
    ]


def _write(network: Network, folder: Path) -> Path:
    path = folder / f"{network.name}.onnx"
    module, data = network.module.eval(), torch.zeros(network.sizes[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's age and of batches, which are tried out below
        torch.onnx.export(
            module.written_out(data) if isinstance(module, Heat) else module,
            (data,),
            path,
            input_names=["data"],
            output_names=list(network.outputs),
            dynamic_axes={"data": {axis: f"axis{axis}" for axis in network.free}},
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,  # else batch norms are fused, and no weight fits into float16
            dynamo=False,  # the newer one needs two packages more, and writes the same here
        )
    _halve(path)
    for size in network.sizes:
        _compare(network, path, size)
    return path


def _halve(path: Path) -> None:
    """Store large weights in float16 where that loses nothing; a Cast makes them float32 when the file is loaded."""
    model = onnx.load(path)
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.raw_data) >= LARGE_BYTES:
            whole, half, values = weight.name, f"{weight.name}.half", onnx.numpy_helper.to_array(weight)
            if not np.array_equal(values.astype(np.float16), values):
                continue
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
            casts.append(onnx.helper.make_node("Cast", [half], [whole], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


@torch.no_grad()
def _compare(network: Network, path: Path, size: tuple[int, ...]) -> None:
    """Compare ONNX Runtime and torch. Raises SystemExit when they differ."""
    data = np.random.default_rng(0).normal(size=size).astype(np.float32)
    said = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"data": data})
    expected = network.module.eval()(torch.from_numpy(data))
    for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), said, strict=True):
        error = MAX_ERROR * (float(ours.max()) if network.is_relative else 1.0)
        if ours.shape != theirs.shape or not np.allclose(ours.numpy(), theirs, rtol=0, atol=error):
            raise SystemExit(f"{network.name}.onnx does not say what torch says for {size}")
