/** Which of two elements is painted over the other, for those that no hit test finds. See CSS 2.2, appendix E. */

import { parentOf } from "./video-elements.js";

const IN_FLOW = -0.5; // below what is positioned, above what has a negative z-index

/**
 * Tell whether an element is painted over another one, by z-index and order.
 * @param {Element} element
 * @param {Element} other
 */
export function isPaintedOver(element, other) {
  const [path, otherPath] = [pathTo(element), pathTo(other)];
  const fork = path.findIndex((at, depth) => at !== otherPath[depth]);
  if (fork < 0 || fork >= otherPath.length) return fork >= 0; // one lies around the other
  const [level, otherLevel] = [levelOf(path.slice(fork)), levelOf(otherPath.slice(fork))];
  if (level !== otherLevel) return level > otherLevel;
  const [branch = element, otherBranch = other] = [path[fork], otherPath[fork]];
  return Boolean(branch.compareDocumentPosition(otherBranch) & Node.DOCUMENT_POSITION_PRECEDING);
}

/** @param {Element} element @returns {Element[]} what lies around it, the outermost first, and itself */
function pathTo(element) {
  const path = [];
  for (let at = /** @type {Element | null} */ (element); at; at = parentOf(at)) path.unshift(at);
  return path;
}

/** @param {Element[]} path @returns {number} the level of the first of them that has one */
function levelOf(path) {
  const levels = path.map(ownLevel);
  return levels.find((level) => level !== IN_FLOW) ?? IN_FLOW;
}

/** @param {Element} element */
function ownLevel(element) {
  const { position, zIndex, opacity, transform } = getComputedStyle(element);
  const isStacked = position !== "static" || Number(opacity) < 1 || transform !== "none";
  return isStacked ? Number(zIndex) || 0 : IN_FLOW;
}
