"""Write the networks as ONNX: graphs without weights for the package, and whole files for the extension.

    python -m training.publish --graphs                # space/unmask/graphs anew, where an architecture has changed
    python -m training.publish --onnx --model-folder space/unmask/models/weights/mobilenet-gru --out extension/models

The networks are a model (one clip of any number of frames, normalised, -> its logit, that of each frame alone, and
the last feature maps), its heat (maps of a face, blurred and sharp, -> the heat of each place), and MTCNN's `pnet`,
`rnet` and `onet`. A graph takes its weights from a model's own file when it is loaded, so that new weights need no new
graph. The extension's files hold them as the float16 numbers that they are in that file; batch norms are fused when
ONNX Runtime loads either. Beside them lies `appearance.bin`, the projection of faces: its mean, then its matrix. Each
network is run on noise and must say what torch says, or nothing is left.
"""

import copy
import dataclasses
import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from training.fit.recipes import RECIPES
from unmask.faces import appearance, mtcnn
from unmask.faces.clips import ClipSpec
from unmask.faces.networks import NAMES as FACE_NETWORKS
from unmask.graphs import session
from unmask.models import checkpoint, onnx_model
from unmask.models.architectures import ARCHITECTURES, LogMagnitude, VideoModel
from unmask.models.torch_model import GRADIENT_STEPS, IntegratedGradients

ARCHITECTURES_WRITTEN = ("mobilenet-gru", "meso-transformer", "resnext-lstm")
OPSET = 17
MAX_ERROR = 1e-3  # of a logit, or of the hottest place; maps, scores and box offsets stay far below
LARGE_BYTES = 4096  # of a weight


class OneClip(nn.Module):
    """A model for one clip without padding: (T, 3, S, S) -> logit (1,), logits of frames (T,), maps (T, C, h, w)."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logit of the clip, those of its frames, and the feature maps."""
        maps = self.model.frame_features(data)
        vectors = self.model.frame_vectors(maps)
        together = self.model.sequence_logits(vectors[None], None)
        return together, self.model.sequence_logits(vectors[:, None], None), maps


class LinearHeat(nn.Module):
    """`IntegratedGradients` where frame vectors are linear in the maps, in operations that the exporter knows."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.is_mean = type(model).frame_vectors is VideoModel.frame_vectors
        self.model = None if self.is_mean else model
        vectors = model.frame_vectors(model.frame_features(torch.zeros(GRADIENT_STEPS, 3, 64, 64)))
        plain: Any = torch.export.default_decompositions()  # typed more narrowly than what takes it
        plain.update(get_decompositions([torch.ops.aten._softmax]))

        def logit(points: Tensor) -> Tensor:
            return model.sequence_logits(points[:, None], None).sum(0)

        with _plain_operations():
            self.gradient = make_fx(torch.func.grad(logit), decomposition_table=plain)(vectors)

    def forward(self, data: Tensor) -> Tensor:
        """Return the heat of each place (h, w) of maps (2, C, h, w)."""
        vectors, change = self._vectors(data), data[1] - data[0]
        shares = (torch.arange(GRADIENT_STEPS) + 0.5) / GRADIENT_STEPS
        gradient = self.gradient(vectors[:1] + shares[:, None] * (vectors[1:] - vectors[:1])).mean(0)
        if self.is_mean:
            return (change * gradient[:, None, None]).sum(0).abs() / (data.shape[2] * data.shape[3])
        places = torch.eye(data.shape[2] * data.shape[3]).view(-1, 1, data.shape[2], data.shape[3])
        moved = self._vectors(places * change) - self._vectors(torch.zeros_like(data[:1]))
        return (moved @ gradient).abs().view(data.shape[2], data.shape[3])

    def _vectors(self, maps: Tensor) -> Tensor:
        return maps.mean((-2, -1)) if self.model is None else self.model.frame_vectors(maps)


class PReLU(nn.Module):
    """What nn.PReLU does, in operations that take ONNX Runtime a fraction of the time that its own PRelu takes."""

    def __init__(self, layer: nn.PReLU) -> None:
        super().__init__()
        self.weight = layer.weight

    def forward(self, x: Tensor) -> Tensor:
        """Apply a slope a channel below zero."""
        slope = self.weight.view(-1, *[1] * (x.dim() - 2))
        return x + (1 - slope) * (-x).relu()


class CellMeans(nn.Module):
    """What nn.AdaptiveAvgPool2d does, for maps of any size."""

    def __init__(self, layer: nn.AdaptiveAvgPool2d) -> None:
        super().__init__()
        side: Any = layer.output_size
        self.side = int(side)

    def forward(self, maps: Tensor) -> Tensor:
        """Average (N, C, h, w) to (N, C, side, side)."""
        rows, columns = self._shares(maps.shape[2]), self._shares(maps.shape[3])
        return rows @ maps @ columns.T

    def _shares(self, length: int) -> Tensor:
        """Return what each place adds to each cell (side, length)."""
        place, cell = torch.arange(length), torch.arange(self.side)[:, None]
        first, end = cell * length // self.side, ((cell + 1) * length + self.side - 1) // self.side
        inside = ((place >= first) & (place < end)).float()
        return inside / inside.sum(1, keepdim=True)


class LogMagnitudeByMatrices(nn.Module):
    """What `LogMagnitude` does, with the Fourier transform as matrices: there is none for tensors in ONNX Runtime."""

    def __init__(self, layer: LogMagnitude) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> Tensor:
        """Compute the log magnitude (N, 1, S, S) of images (N, 3, S, S)."""
        grey, side = images.mean(1, keepdim=True), images.shape[3]
        place = torch.arange(side)
        turns = (place - side // 2)[:, None] * place % side
        angles = turns.float() * (2 * math.pi) / side
        cosines, sines = angles.cos(), angles.sin()
        across, along = grey @ cosines.T, grey @ sines.T
        real, imaginary = cosines @ across - sines @ along, sines @ across + cosines @ along
        return torch.log1p((real.square() + imaginary.square()).sqrt() / side)


class SelfAttention(nn.Module):
    """What nn.MultiheadAttention does with a sequence and itself, for sequences of any length and number."""

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self.layer, self.batch_first = layer, True

    def forward(self, x: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Attend within sequences (B, T, D)."""
        layer = self.layer
        joined = F.linear(x, layer.in_proj_weight, layer.in_proj_bias)
        parts = joined.unflatten(-1, (3, layer.num_heads, layer.head_dim)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind()
        shares = (queries @ keys.transpose(2, 3) / math.sqrt(layer.head_dim)).softmax(-1)
        return layer.out_proj((shares @ values).transpose(1, 2).flatten(2)), None


SUBSTITUTES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.PReLU: PReLU,
    nn.AdaptiveAvgPool2d: CellMeans,
    LogMagnitude: LogMagnitudeByMatrices,
    nn.MultiheadAttention: SelfAttention,
}


def substitute(module: nn.Module) -> None:
    """Replace layers that ONNX Runtime lacks, or is slow at."""
    for name, layer in list(module.named_children()):
        if type(layer) in SUBSTITUTES:
            setattr(module, name, SUBSTITUTES[type(layer)](layer))
        else:
            substitute(layer)


@dataclass(frozen=True)
class Network:
    """One file to write."""

    name: str
    module: nn.Module
    reference: nn.Module  # says the same
    weights: dict[str, Tensor]  # of the module, by their names in the model's own file
    sizes: tuple[tuple[int, ...], ...]  # of inputs: the first to export with, all to compare with
    free: tuple[int, ...]  # axes of the input that may have any length
    outputs: tuple[str, ...]
    is_relative: bool = False  # MAX_ERROR is a share of the largest number


def write_graphs(folder: Path = session.FOLDER) -> None:
    """Write the graphs of the package and their manifest, and print what was written."""
    manifest: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        networks: list[tuple[Network, dict[str, float]]] = [(network, {}) for network in face_networks()]
        for name in ARCHITECTURES_WRITTEN:
            config = RECIPES[name].model
            module = ARCHITECTURES[name](config).eval().requires_grad_(False)
            for tensor in module.state_dict().values():  # the exporter merges equal weights
                if tensor.is_floating_point():
                    tensor.uniform_(0.01, 0.02)
            networks += [
                (one, onnx_model.sizes(config)) for one in model_networks(name, f"{name}.heat", module, ClipSpec())
            ]
        for network, size in networks:
            path = _write(network, Path(scratch))
            shapes = _strip(path, network)
            manifest[network.name] = {"sizes": size, "weights": shapes}
            shutil.move(path, folder / path.name)
            print(f"{folder / path.name}  {(folder / path.name).stat().st_size / 1e3:.1f} kB")
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in manifest.items())
    (folder / session.MANIFEST.name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def write(folder: Path, out: Path) -> None:
    """Write the files of a model folder for the extension and print what was written."""
    for path in export(folder, out):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def export(folder: Path, out: Path) -> list[Path]:
    """Write the files of a model folder into `out` -> their paths.

    Raises SystemExit when one differs, and for a model that ONNX cannot express.
    """
    config, info, _ = checkpoint.read(str(folder))
    if config.architecture not in ARCHITECTURES_WRITTEN:
        known = ", ".join(ARCHITECTURES_WRITTEN)
        raise SystemExit(f"only {known} can be written as ONNX, this is a {config.architecture}")
    module = checkpoint.restore(folder).eval().requires_grad_(False)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        networks = (*model_networks("model", "heat", module, config.clip), *face_networks())
        made = [_halve(_write(network, Path(scratch))) for network in networks]
        told = {"schema": checkpoint.SCHEMA, **dataclasses.asdict(config), "revision": info.revision}
        made.append(Path(scratch) / "config.json")
        made[-1].write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        made.append(Path(scratch) / "appearance.bin")
        made[-1].write_bytes(b"".join(part.astype("<f4").tobytes() for part in appearance.projection()))
        return [path.replace(out / path.name) for path in made]


def model_networks(name: str, heat_name: str, model: VideoModel, spec: ClipSpec) -> Iterator[Network]:
    """Yield the networks of a model."""
    reference, weights, side_px = copy.deepcopy(model), model.state_dict(), spec.side_px
    substitute(model)
    clips = tuple((frames, 3, side, side) for frames, side in ((spec.frames_per_clip, side_px), (1, 2 * side_px)))
    yield Network(name, OneClip(model), OneClip(reference), weights, clips, (0, 2, 3), ("logit", "alone", "maps"))
    channels = model.frame_features(torch.zeros(1, 3, side_px, side_px)).shape[1]
    maps = ((2, channels, 7, 7), (2, channels, 5, 5))
    yield Network(
        heat_name, LinearHeat(model), IntegratedGradients(reference), weights, maps, (2, 3), ("heat",), is_relative=True
    )


def face_networks() -> Iterator[Network]:
    """Yield the networks of the face finder."""
    sizes = {"pnet": ((2, 3, 90, 160), (1, 3, 12, 17))}
    sizes |= {name: ((2, 3, px, px), (5, 3, px, px)) for name, px in (("rnet", 24), ("onet", 48))}
    for name in FACE_NETWORKS:
        module, reference = mtcnn.load(name), mtcnn.load(name)
        weights = module.state_dict()
        substitute(module)
        free = (0, 2, 3) if name == "pnet" else (0,)
        outputs = ("score", "offset", "points")[: 3 if name == "onet" else 2]
        yield Network(name, module, reference, weights, sizes[name], free, outputs)


def _write(network: Network, folder: Path) -> Path:
    path = folder / f"{network.name}.onnx"
    with _plain_operations():
        torch.onnx.export(
            network.module.eval(),
            (torch.zeros(network.sizes[0]),),
            path,
            input_names=["data"],
            output_names=list(network.outputs),
            dynamic_axes={"data": {axis: f"axis{axis}" for axis in network.free}},
            opset_version=OPSET,
            # else norms are fused, weights turned and merged, and none fits into float16 or has its name
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,  # the newer one needs two packages more, and writes the same here
        )
    model = onnx.load(path)
    _rename(model.graph, network)
    onnx.save(model, path)
    for size in network.sizes:
        _compare(network, path, size)
    return path


@contextmanager
def _plain_operations() -> Iterator[None]:
    """Let torch compute recurrent networks and Transformers in steps that the exporter knows.

    Its warnings, of its age and of batches, are left out: what it writes is tried out.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _rename(graph: onnx.GraphProto, network: Network) -> None:
    """Call the weights as they are called in the model's own file."""
    places = {tensor.data_ptr(): name for name, tensor in network.weights.items()}
    names = {name: places.get(tensor.data_ptr(), name) for name, tensor in network.module.state_dict().items()}
    for weight in graph.initializer:
        weight.name = names.get(weight.name, weight.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _strip(path: Path, network: Network) -> dict[str, list[int]]:
    """Take the weights out of a file -> their shapes by their names, in the order of the model's own file."""
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if weight.name in network.weights:
            weight.ClearField("raw_data")
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.external_data.add(key="location", value="given")
    onnx.save(model, path)
    taken = {weight.name for weight in model.graph.initializer}
    return {name: list(tensor.shape) for name, tensor in network.weights.items() if name in taken}


def _halve(path: Path) -> Path:
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
    return path


@torch.no_grad()
def _compare(network: Network, path: Path, size: tuple[int, ...]) -> None:
    """Compare ONNX Runtime and torch. Raises SystemExit when they differ."""
    data = np.random.default_rng(0).normal(size=size).astype(np.float32)
    said = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"data": data})
    expected = network.reference.eval()(torch.from_numpy(data))
    for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), said, strict=True):
        error = MAX_ERROR * (float(ours.max()) if network.is_relative else 1.0)
        if ours.shape != theirs.shape or not np.allclose(ours.numpy(), theirs, rtol=0, atol=error):
            raise SystemExit(f"{network.name}.onnx does not say what torch says for {size}")
