"""Score validation clips with a model, for its calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from training.data.augment import NO_AUGMENTATION
from training.data.shards import StoredClip, read_clips
from training.data.subsets import spread_evenly
from training.evaluation.corruptions import Condition
from training.evaluation.eval_sets import face_clip
from training.fit.predict import predict
from training.fit.recipes import Mixture
from training.fit.torch_dataset import ClipPairs, Pair, PlainClips, as_face_clip, cached_meshes
from training.fit.training_clips import limit_each_label
from training.release.calibration import BLURRED, CORRUPTED
from training.release.score_table import Floats, Table, make_rows
from unmask.faces.clips import ClipSpec, recompressed
from unmask.faces.exclusion import crop_sharpness
from unmask.models.architectures import VideoModel
from unmask.verdict import ClipScore, Policy, pool

WEB = replace(NO_AUGMENTATION, geometry=1.0, resize=0.4, compression=0.7)
CORRUPTED_REALS = 400  # real clips under each of CORRUPTED
MAX_VIDEOS = 600  # of each label and folder


class RecompressedPairs(Dataset[Pair]):
    """Training pairs, mildly re-compressed as serving does before it answers."""

    def __init__(self, pairs: ClipPairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        spec = self.pairs.spec
        return [(recompressed(as_face_clip(clip, spec)).data, fake) for clip, fake in self.pairs[index]]


class CorruptedReals(Dataset[Pair]):
    """Real clips under one condition."""

    def __init__(self, clips: Sequence[StoredClip], spec: ClipSpec, condition: Condition) -> None:
        self.clips, self.spec, self.condition = clips, spec, condition

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Pair:
        return [(face_clip(self.clips[index], self.spec, self.condition).data, False)]


def validation_clips(folders: Sequence[Path], limit: int | None = None) -> dict[str, list[StoredClip]]:
    """Read the clips that may be fitted on, at most `limit` real and `limit` fake ones a folder.

    Raises:
        ValueError: a folder holds none; names it.
    """
    found = {}
    for folder in folders:
        clips = [clip for clip in read_clips(folder) if clip.split == "val"]
        if not clips:
            raise ValueError(f"{folder.name} holds no row of split `val`: it is not for fitting")
        found[folder.name] = clips if limit is None else limit_each_label(clips, limit)
    return found


def score_clips(
    model: VideoModel, by_folder: Mapping[str, Sequence[StoredClip]], spec: ClipSpec, cache: Path, workers: int
) -> Table:
    """Score pairs, corrupted, blurred and stored clips of every folder. A photograph is a clip of one frame."""
    tables: list[Table] = []
    for clips in by_folder.values():
        own = _spec_of(clips, spec)
        reals, fakes = ([clip for clip in clips if clip.fake == fake] for fake in (False, True))
        meshes, start = cached_meshes(reals, cache), 1 + max((int(rows["item"].max()) for rows in tables), default=-1)
        for blended in (False, True) if fakes else (True,):
            mixture = Mixture(blended_share=float(blended), same_source=False, augment=WEB)
            pairs = ClipPairs(reals, meshes, [] if blended else fakes, own, mixture, seed=7)
            logits, fake = predict(model, pairs, own, workers)
            again, _ = predict(model, RecompressedPairs(pairs), own, workers)
            item = start + blended * len(reals) + np.arange(len(logits)) // 2
            tables.append(make_rows("pairs", logits, fake=fake, blended=blended, recompressed_logit=again, item=item))
        chosen = spread_evenly(reals, CORRUPTED_REALS // len(by_folder))
        for part, some, conditions in (("corrupted", chosen, CORRUPTED), ("blurred", reals, BLURRED)):
            item = start + np.arange(len(some))
            for index, condition in enumerate(conditions):
                data = CorruptedReals(some, own, condition)
                sharpness = [crop_sharpness(data[row][0][0]) for row in range(len(data))] if part == "blurred" else 0.0
                logits, _ = predict(model, data, own, workers)
                tables.append(make_rows(part, logits, condition=index, sharpness=sharpness, item=item))
        count = min(len(reals), len(fakes))
        if count:
            stored = PlainClips([*spread_evenly(reals, count), *spread_evenly(fakes, count)], own)
            logits, fake = predict(model, stored, own, workers)
            tables.append(make_rows("stored", logits, fake=fake, item=start + np.arange(len(logits))))
    return np.concatenate(tables)


def score_videos(
    model: VideoModel, by_folder: Mapping[str, Sequence[StoredClip]], spec: ClipSpec, workers: int
) -> Table:
    """Score whole videos as they are stored, of every folder at most MAX_VIDEOS real and as many fake ones."""
    tables = []
    for name, clips in by_folder.items():
        clips_of: dict[str, list[StoredClip]] = {}
        for clip in clips:
            clips_of.setdefault(clip.video_id, []).append(clip)
        videos = [
            video
            for fake in (False, True)
            for video in spread_evenly([some for some in clips_of.values() if some[0].fake == fake], MAX_VIDEOS)
        ]
        own = _spec_of(clips, spec)
        logits, _ = predict(model, PlainClips([clip for some in videos for clip in some], own), own, workers)
        ends = np.cumsum([len(some) for some in videos])[:-1]
        pooled = [pool_clips(part, some) for part, some in zip(np.split(logits, ends), videos, strict=True)]
        tables.append(make_rows("videos", pooled, fake=[some[0].fake for some in videos], domain=name))
    return np.concatenate(tables)


def pool_clips(logits: Floats, clips: Sequence[StoredClip]) -> float:
    """Pool the clips of one video as serving does; calibration is linear, so it may come afterwards."""
    scores = [
        ClipScore("", 0, 0.0, 0.0, len(clip.jpegs), 1.0, logit, logit)
        for clip, logit in zip(clips, logits.tolist(), strict=True)
    ]
    return pool(scores, Policy().trim)


def _spec_of(clips: Sequence[StoredClip], spec: ClipSpec) -> ClipSpec:
    return replace(spec, frames_per_clip=min(spec.frames_per_clip, max(len(clip.jpegs) for clip in clips)))
