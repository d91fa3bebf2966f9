/**
 * The strength of the evidence: in words, on a scale whose zones can be told apart without colour, and in frequencies.
 *
 * @import { Evidence } from "../shared/report.js"
 * @import { Translate } from "../shared/i18n.js"
 */

import { h } from "../shared/dom.js";
import { evidenceTexts, formatPercent } from "../shared/labels.js";

/**
 * Zones from the start of the line to its end: side, strength, width.
 *
 * @type {[Evidence["direction"], Evidence["strength"], number][]}
 */
const ZONES = [
  ["real", "strong", 1],
  ["real", "moderate", 1.3],
  ["real", "weak", 1],
  ["none", "none", 1],
  ["fake", "weak", 1],
  ["fake", "moderate", 1.3],
  ["fake", "strong", 1],
];
const WIDTH = ZONES.reduce((sum, [, , width]) => sum + width, 0);
const MAX_LOG_RATIO = Math.log(199); // of `evidence.js`
const EDGE = 0.1; // of a zone, that the marker stays away from

/**
 * Render the evidence.
 * @param {Evidence} evidence
 * @param {number | null} chance shown where no validation gives a frequency
 * @param {Translate} t
 */
export function renderEvidence(evidence, chance, t) {
  const { grade, frequency, ifRare } = evidenceTexts(evidence, t);
  const number =
    chance !== null && h("p", { class: "number" }, h("b", {}, formatPercent(chance, t)), ` ${t("probability")}`);
  return h(
    "div",
    { class: "measure" },
    h("p", { class: "grade" }, grade),
    renderScale(evidence, t),
    h("p", { class: "legend", "aria-hidden": "true" }, h("span", {}, t("side_real")), h("span", {}, t("side_fake"))),
    frequency ? h("p", {}, frequency) : number,
    ifRare && h("details", {}, h("summary", {}, t("base_rate")), h("p", {}, ifRare)),
  );
}

/**
 * Draw the scale; a screen reader is told by the grade in words.
 * @param {Evidence} evidence
 * @param {Translate | null} t null: a small one without words
 */
export function renderScale(evidence, t) {
  const zones = ZONES.map(([direction, strength, width]) => {
    const isHere = direction === evidence.direction && strength === evidence.strength;
    const zone = h(
      "span",
      { class: `step ${direction} ${strength}${isHere ? " here" : ""}` },
      h("i"),
      t?.(`strength_${strength}`),
    );
    zone.style.flexGrow = String(width);
    return zone;
  });
  const mark = h("span", { class: "mark" });
  mark.style.insetInlineStart = `${markPercent(evidence)}%`;
  return h("div", { class: t ? "scale" : "scale little", "aria-hidden": "true" }, ...zones, mark);
}

/**
 * Place the marker: in the zone of its grade, further out the larger the likelihood ratio, in its logarithm.
 * @param {Evidence} evidence
 * @returns {number} percent of the scale's width
 */
export function markPercent({ direction, strength, likelihood_ratio: ratio }) {
  const index = ZONES.findIndex(([side, grade]) => side === direction && grade === strength);
  const start = ZONES.slice(0, index).reduce((sum, [, , width]) => sum + width, 0);
  const outwards = Math.log(ratio) / MAX_LOG_RATIO;
  const inside = direction === "fake" ? outwards : direction === "real" ? 1 + outwards : (1 + outwards) / 2;
  const width = ZONES[index]?.[2] ?? 0;
  return (100 * (start + width * Math.min(Math.max(inside, EDGE), 1 - EDGE))) / WIDTH;
}
