/**
 * How strongly a score speaks for a deepfake or against it, as in Python's `evidence.py`. Pure.
 *
 * @import { Evidence } from "../shared/report.js"
 *
 * @typedef {object} EvidenceScale of config.json; edges are log-odds
 * @property {number[]} edges between the bins, rising
 * @property {number[]} per_100 fakes among 100 validation videos of each bin
 * @property {number[]} low
 * @property {number[]} high
 * @property {number[]} videos
 * @property {[number, number]} moderate
 * @property {[number, number]} weak
 */

const MAX_SHARE = 0.995;

/**
 * Grade a face's calibrated log-odds.
 * @param {number} logOdds
 * @param {"fake" | "real" | "uncertain"} label
 * @param {boolean} isDoubtful there is a reason to abstain
 * @param {EvidenceScale} scale
 * @returns {Evidence}
 */
export function grade(logOdds, label, isDoubtful, scale) {
  const [[realWeak, fakeWeak], [realModerate, fakeModerate]] = [scale.weak, scale.moderate];
  /** @type {Evidence["direction"]} */
  let direction = logOdds > fakeWeak ? "fake" : logOdds < realWeak ? "real" : "none";
  /** @type {Evidence["strength"]} */
  let strength = direction === "none" ? "none" : "weak";
  if (!isDoubtful && (logOdds < realModerate || logOdds > fakeModerate)) strength = "moderate";
  if (label !== "uncertain") [direction, strength] = [label, "strong"];
  if (!scale.per_100.length)
    return { direction, strength, likelihood_ratio: rounded(Math.exp(logOdds)), per_100: null };
  const row = scale.edges.filter((edge) => edge <= logOdds).length;
  const [fakes, low, high, videos] = [scale.per_100, scale.low, scale.high, scale.videos].map((values) => values[row]);
  const share = Math.min(Math.max(Number(fakes) / 100, 1 - MAX_SHARE), MAX_SHARE);
  return {
    direction,
    strength,
    likelihood_ratio: rounded(share / (1 - share)),
    per_100: { fakes: Number(fakes), low: Number(low), high: Number(high), videos: Number(videos) },
  };
}

/** Say which way the evidence leans; "" where it does not lean. @param {Evidence} evidence */
export function evidenceText({ direction, strength }) {
  if (direction === "none") return "";
  const lean = direction === "fake" ? "a deepfake" : "a real video";
  return `; it leans towards ${lean} (${strength} evidence)`;
}

/** @param {number} value to three digits, as in Python's reports */
function rounded(value) {
  return Number(value.toPrecision(3));
}
