#!/usr/bin/env bash
# Make resnext-lstm, from its data sets to the calibrated model folder $OUT/resnext-lstm. Stopped, it resumes.
# SHORT=20 only tries the way: one epoch, 20 real videos of each set. Needs no ImageNet weights: it starts from the
# shipped mobilenet-gru.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${DFDC_PAIRS:?folder of prepared DFDC crops: reals, each with several fakes}" "${UTKFACE:?folder of photographs}"
: "${YTFACES:?folder of frames of YouTube Faces}" "${PAGES:?folder with train/ and val/: clips of generators and reals}"
OUT=${OUT:-training/runs/resnext-lstm}
short=(${SHORT:+--epochs 1 --pairs-per-batch 4 --limit "$SHORT"})

prepare() { [ -f "$OUT/$1/manifest.tsv" ] || python -m training.prepare --out "$OUT/$1" "${@:2}"; }
train() { python -m training.train resnext-lstm "${@:2}" --out "$OUT/$1" --pairs-per-batch 16 "${short[@]}"; }

prepare ytfaces --data manifest="$YTFACES"
prepare utkface --data manifest="$UTKFACE"
prepare pages --data manifest="$PAGES/train" --windows 4 --frames 1
prepare pages-val --data manifest="$PAGES/val" --windows 2
domains=(--data "$DFDC_PAIRS" --data "$OUT/pages-val" --data "$OUT/ytfaces" --data "$OUT/utkface")
faces=("${domains[@]}" --data "$OUT/pages=6")

python -m training.tools.transfer_backbone "${faces[@]}" --out "$OUT/start" ${SHORT:+--limit "$SHORT"}
train parts frames "${faces[@]}" --start "$OUT/start" --teacher mobilenet-gru --part 160 --learning-rate 1e-4 \
    --epochs 4 --validation-limit 150
train frames frames "${faces[@]}" --start "$OUT/parts" --teacher mobilenet-gru --learning-rate 5e-5 --epochs 2 \
    --seed 1 --validation-limit 150
train clips clips --data "$OUT/pages-val" --data "$DFDC_PAIRS" --start "$OUT/frames" --epochs 1 --limit 600

python -m training.calibrate --run "$OUT/clips" "${domains[@]}" --limit "${SHORT:-80}" --int8 --out "$OUT/resnext-lstm"
