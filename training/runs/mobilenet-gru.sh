#!/usr/bin/env bash
# Make mobilenet-gru, from its data sets to the calibrated model folder $OUT/mobilenet-gru. Stopped, it resumes.
# SHORT=20 only tries the way: one epoch, 20 real videos of each set.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${DFDC_FACES:?folder of DFDC face crops}" "${DFDC_VIDEOS:?folder of DFDC videos}"
: "${FFHQ:?folder of FFHQ photographs}" "${TALKING:?folder of videos of people talking}"
: "${DFDC_PAIRS:?folder of prepared DFDC crops: reals, each with several fakes}" "${UTKFACE:?folder of photographs}"
: "${YTFACES:?folder of frames of YouTube Faces}" "${PAGES:?folder with train/ and val/: clips of generators and reals}"
OUT=${OUT:-training/runs/mobilenet-gru}
short=(${SHORT:+--epochs 1 --pairs-per-batch 4 --limit "$SHORT"})
faces=(--data "$DFDC_FACES" --data "$OUT/ffhq")
clips=("${faces[@]}" --data "$OUT/talking=8" --data "$OUT/dfdc=2")

prepare() { [ -f "$OUT/$1/manifest.tsv" ] || python -m training.prepare --out "$OUT/$1" "${@:2}"; }
train() { python -m training.train mobilenet-gru "${@:2}" --out "$OUT/$1" "${short[@]}"; }

prepare ffhq --data photos="$FFHQ" --split train
prepare talking --data auto="$TALKING" --split alternate --windows 4
prepare dfdc --data auto="$DFDC_VIDEOS" --split train --windows 4

train small frames "${faces[@]}" --side 160 --epochs 10
train frames frames "${faces[@]}" --start "$OUT/small" --epochs 8
train clips clips "${clips[@]}" --start "$OUT/frames" --limit 600

# ordinary video and generated heads: every folder is a domain
prepare ytfaces --data manifest="$YTFACES"
prepare utkface --data manifest="$UTKFACE"
prepare pages --data manifest="$PAGES/train" --windows 4 --frames 1
prepare pages-val --data manifest="$PAGES/val" --windows 2
domains=(--data "$DFDC_PAIRS" --data "$OUT/pages-val" --data "$OUT/ytfaces" --data "$OUT/utkface")
train domains frames "${domains[@]}" --data "$OUT/pages=6" --start "$OUT/clips" --pairs-per-batch 16 \
    --learning-rate 3e-4 --epochs 1 --validation-limit 150
python -m training.tools.interpolate_weights --start "$OUT/clips" --tuned "$OUT/domains" --share 0.85 --out "$OUT/mixed"
train longer frames "${domains[@]}" --data "$OUT/pages=6" --start "$OUT/domains" --pairs-per-batch 16 \
    --learning-rate 2e-4 --epochs 1 --seed 1 --validation-limit 150
python -m training.tools.interpolate_weights --start "$OUT/mixed" --tuned "$OUT/longer" --share 0.6 --out "$OUT/final"

python -m training.calibrate --run "$OUT/final" "${domains[@]}" --limit "${SHORT:-80}" --out "$OUT/mobilenet-gru"
