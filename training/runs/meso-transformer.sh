#!/usr/bin/env bash
# Make meso-transformer, from its data sets to the calibrated model folder $OUT/meso-transformer. Stopped, it resumes.
# SHORT=20 only tries the way: one epoch, 20 real videos of each set.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${DFDC_FACES:?folder of DFDC face crops}" "${DFDC_VIDEOS:?folder of DFDC videos}"
: "${FFHQ:?folder of FFHQ photographs}" "${TALKING:?folder of videos of people talking}"
OUT=${OUT:-training/runs/meso-transformer}
short=(${SHORT:+--epochs 1 --pairs-per-batch 4 --limit "$SHORT"})
faces=(--data "$DFDC_FACES" --data "$OUT/ffhq")
clips=("${faces[@]}" --data "$OUT/talking=8" --data "$OUT/dfdc=2")

prepare() { [ -f "$OUT/$1/manifest.tsv" ] || python -m training.prepare --out "$OUT/$1" "${@:2}"; }
train() { python -m training.train meso-transformer "${@:2}" --out "$OUT/$1" "${short[@]}"; }

prepare ffhq --data photos="$FFHQ" --split train
prepare talking --data auto="$TALKING" --split alternate --windows 4
prepare dfdc --data auto="$DFDC_VIDEOS" --split train --windows 4

train small frames "${faces[@]}" --scratch --teacher mobilenet-gru --side 112 --epochs 5
train frames frames "${faces[@]}" --start "$OUT/small" --teacher mobilenet-gru --epochs 4 --learning-rate 1e-3
train longer frames "${faces[@]}" --start "$OUT/frames" --teacher mobilenet-gru --epochs 5 --learning-rate 1e-3
train clips clips "${clips[@]}" --start "$OUT/longer" --limit 600

python -m training.calibrate --run "$OUT/clips" --data "$DFDC_FACES" --limit "${SHORT:-900}" --out "$OUT/meso-transformer"
