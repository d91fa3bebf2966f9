/** The project's own icons; each tone has a shape of its own, so that none needs its colour to be told apart. */

import { s } from "./dom.js";

/** @typedef {import("./labels.js").Tone} Tone */

/** @type {Record<Tone, string[]>} paths; the first of `fake` is filled */
const SHAPES = {
  fake: ["M12 3 22.5 21h-21Z", "M12 9.5v5.5M12 17.6v.9"],
  real: ["M17 10.5a6.5 6.5 0 1 1-13 0a6.5 6.5 0 1 1 13 0", "m15.5 15.5 5.5 5.5"],
  uncertain: [
    "M21.5 12a9.5 9.5 0 1 1-19 0a9.5 9.5 0 1 1 19 0",
    "M9.4 9.6a2.7 2.7 0 1 1 3.9 2.4c-.9.5-1.3 1-1.3 2.1M12 16.6v.9",
  ],
  no_face: ["M3 8V3h5M16 3h5v5M21 16v5h-5M8 21H3v-5M9 12h6"],
  failed: ["M21.5 12a9.5 9.5 0 1 1-19 0a9.5 9.5 0 1 1 19 0", "m8.5 8.5 7 7m0-7-7 7"],
  busy: ["M12 2.5a9.5 9.5 0 0 1 9.5 9.5"],
};

/** Draw the icon of a tone. @param {Tone} tone @returns {SVGElement} */
export function icon(tone) {
  const paths = SHAPES[tone].map((d, place) =>
    s("path", { d, class: tone === "fake" && place === 0 ? "filled" : "line" }),
  );
  return s("svg", { viewBox: "0 0 24 24", class: `icon ${tone}`, "aria-hidden": "true", focusable: "false" }, ...paths);
}

/** Draw the logo: half a face in lines, half of it dotted. @returns {SVGElement} */
export function logo() {
  const paths = [
    "M12 3c4.5 0 7.5 3 7.5 7.5 0 5.5-3.5 10.5-7.5 10.5",
    "M7.8 10.8h2.4M13.8 10.8h2.4M9.5 16c1.5 1.2 3.5 1.2 5 0",
  ];
  const dotted = s("path", {
    d: "M12 3C7.5 3 4.5 6 4.5 10.5 4.5 16 8 21 12 21",
    class: "line",
    "stroke-dasharray": ".1 3.1",
  });
  return s(
    "svg",
    { viewBox: "0 0 24 24", class: "icon logo", "aria-hidden": "true" },
    ...paths.map((d) => s("path", { d, class: "line" })),
    dotted,
  );
}
