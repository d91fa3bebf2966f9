/**
 * The page's part of the extension: hears whom to check, watches for the page moving on, undoes everything then.
 * Loaded once a frame, by content.js. Until a person asks for a check it only listens.
 *
 * @typedef {import("./video-check.js").Hello} Hello
 * @typedef {import("./video-check.js").Visit} Visit
 */

import { isAlive, onMessage, tellWorker } from "../shared/browser.js";
import { checkAsTheyPlay } from "./auto-check.js";
import { offerOnHover } from "./hover-button.js";
import { linkTarget, toTarget } from "./sites.js";
import { candidates, findVideo, hintsOf, titleOf, watchClicks } from "./video-finder.js";

const WATCH_MS = 500; // how often it is looked whether the page has moved on, while a badge is shown

/** @type {Map<HTMLVideoElement | string, {visit: Visit, controller: AbortController}>} by video or link */
const visits = new Map();
/** @type {Map<string, AbortController>} what a person has switched on, as long as it is */
const running = new Map();
const page = new AbortController(); // the page's whole life

watchClicks(page.signal);
onMessage(answer, page.signal);
void obey();

/** Do what the settings say, now and after each change. */
async function obey() {
  const hello = /** @type {Hello | undefined} */ (await tellWorker({ type: "hello" }));
  if (!hello) return;
  switchTo(hello.hover, "hover", (signal) => offerOnHover(hello, (video) => void checkVideo(video), (video) => visits.has(video), signal));
  switchTo(hello.auto, "auto", (signal) => checkAsTheyPlay((video) => void checkVideo(video, true), signal));
}

/** @param {boolean} on @param {string} name @param {(signal: AbortSignal) => void} run */
function switchTo(on, name, run) {
  if (on === running.has(name)) return;
  running.get(name)?.abort();
  running.delete(name);
  if (!on) return;
  const controller = new AbortController();
  running.set(name, controller);
  run(controller.signal);
}

/** @param {any} message @returns {Promise<unknown> | undefined} */
function answer(message) {
  if (message?.type === "videos") return Promise.resolve(candidates());
  if (message?.type === "settings") return obey();
  if (message?.type !== "start") return undefined;
  return start(message.wanted ?? {}).then(() => true);
}

/** @param {{id?: number, src?: string, link?: string}} wanted */
async function start(wanted) {
  if (wanted.link) return begin(wanted.link, null, linkTarget(wanted.link), "");
  const video = findVideo(wanted);
  if (video) return checkVideo(video);
  return begin("page", null, toTarget({ page: location.href, src: "", links: [], declared: [] }), document.title);
}

/** @param {HTMLVideoElement} video @param {boolean} [quiet] nobody asked for this one */
function checkVideo(video, quiet = false) {
  return begin(video, video, toTarget(hintsOf(video)), titleOf(video), quiet);
}

/**
 * Begin a check, or open the panel of the one that is there.
 *
 * @param {HTMLVideoElement | string} key
 * @param {HTMLVideoElement | null} video
 * @param {import("./sites.js").Target} target
 * @param {string} title
 * @param {boolean} [quiet] nobody asked: nothing is opened, and a failure leaves no trace
 */
async function begin(key, video, target, title, quiet = false) {
  const hello = /** @type {Hello} */ (await tellWorker({ type: "hello" }));
  const { Visit } = await import("./video-check.js"); // only where a person asks
  const known = visits.get(key);
  if (known) return quiet || known.visit.open();
  const controller = new AbortController();
  const visit = new Visit({ video, target, title, hello, quiet, controller });
  visits.set(key, { visit, controller });
  controller.signal.addEventListener("abort", () => visits.delete(key));
  leaveWithPage(video, controller);
  void visit.check();
}

/**
 * A badge goes when its video does: removed, replaced by another in the same player, or the page navigated in place.
 *
 * @param {HTMLVideoElement | null} video
 * @param {AbortController} controller
 */
function leaveWithPage(video, controller) {
  const address = addressOf(location.href);
  const src = video?.currentSrc;
  const moved = () => addressOf(location.href) !== address || (video !== null && (!video.isConnected || (video.currentSrc !== src && src !== "")));
  const look = () => (moved() || !isAlive()) && controller.abort();
  const timer = setInterval(look, WATCH_MS);
  for (const type of ["popstate", "pagehide"]) addEventListener(type, look, { signal: controller.signal });
  controller.signal.addEventListener("abort", () => clearInterval(timer));
}

/** Another time or another tracking field is no move; another fragment only where it is a route. @param {string} href */
function addressOf(href) {
  const { hash } = new URL(href);
  return `${linkTarget(href).url} ${/^#[!/@]/.test(hash) ? hash : ""}`;
}
