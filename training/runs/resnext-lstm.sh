#!/usr/bin/env bash
# Make resnext-lstm, from its data sets to the calibrated model folder $OUT/resnext-lstm. Stopped, it resumes.
# SHORT=20 only tries the way: one epoch, 20 real videos of each set.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${DFDC_FACES:?folder of DFDC face crops}" "${DFDC_VIDEOS:?folder of DFDC videos}"
: "${FFHQ:?folder of FFHQ photographs}" "${TALKING:?folder of videos of people talking}"
OUT=${OUT:-training/runs/resnext-lstm}
short=(${SHORT:+--epochs 1 --pairs-per-batch 4 --limit "$SHORT"})
faces=(--data "$DFDC_FACES" --data "$OUT/ffhq")
clips=("${faces[@]}" --data "$OUT/talking=8" --data "$OUT/dfdc=2")

prepare() { [ -f "$OUT/$1/manifest.tsv" ] || python -m training.prepare --out "$OUT/$1" "${@:2}"; }
train() { python -m training.train resnext-lstm "${@:2}" --out "$OUT/$1" "${short[@]}"; }

prepare ffhq --data photos="$FFHQ" --split train
prepare talking --data auto="$TALKING" --split alternate --windows 4
prepare dfdc --data auto="$DFDC_VIDEOS" --split train --windows 4

train frames frames "${faces[@]}" --scratch --teacher mobilenet-gru --side 112 --epochs 3 --learning-rate 1e-3
train clips clips "${clips[@]}" --start "$OUT/frames" --side 112 --epochs 1 --limit 600

python -m training.calibrate --run "$OUT/clips" --data "$DFDC_FACES" --limit "${SHORT:-200}" --out "$OUT/resnext-lstm"
