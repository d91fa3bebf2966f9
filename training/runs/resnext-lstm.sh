#!/usr/bin/env bash
# Make resnext-lstm, from its data sets to the calibrated model folder $OUT/resnext-lstm. Stopped, it resumes.
# SHORT=20 only tries the way, on 20 real videos of each set. Needs no ImageNet weights: it starts from the
# shipped mobilenet-gru.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${DFDC_PAIRS:?folder of prepared DFDC crops: reals, each with several fakes}" "${UTKFACE:?folder of photographs}"
: "${YTFACES:?folder of frames of YouTube Faces}" "${PAGES:?folder with train/ and val/: clips of generators and reals}"
OUT=${OUT:-training/runs/resnext-lstm}

prepare() { [ -f "$OUT/$1/manifest.tsv" ] || python -m training.prepare --out "$OUT/$1" "${@:2}"; }

prepare ytfaces --data manifest="$YTFACES"
prepare utkface --data manifest="$UTKFACE"
prepare pages --data manifest="$PAGES/train" --windows 4 --frames 1
prepare pages-val --data manifest="$PAGES/val" --windows 2
domains=(--data "$DFDC_PAIRS" --data "$OUT/pages-val" --data "$OUT/ytfaces" --data "$OUT/utkface")
faces=("${domains[@]}" --data "$OUT/pages=6")

python -m training.tools.transfer_backbone "${faces[@]}" --out "$OUT/start" ${SHORT:+--limit "$SHORT" --pairs-per-batch 4}

python -m training.calibrate --run "$OUT/start" "${domains[@]}" --limit "${SHORT:-80}" --int8 --out "$OUT/resnext-lstm"
