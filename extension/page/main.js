/**
 * The page's part of the extension, loaded once a frame by content-script.js: starts checks and ends them when the
 * page moves on. Until a person asks for a check it only listens.
 *
 * @import { PageRequest } from "../shared/messages.js"
 * @import { VideoCheck } from "./video-check.js"
 */

import { isAlive, onMessage } from "../shared/browser.js";
import { parseWebUrl } from "../shared/urls.js";
import { checkWhilePlaying } from "./auto-check.js";
import { requestWithRetries } from "./check-request.js";
import { showHoverButton } from "./hover-button.js";
import { isSameSource, sourceOf } from "./player-state.js";
import { resolveLink, resolveTarget } from "./site-urls.js";
import { findVideo, listFrames, listVideos, watchClicks } from "./video-choice.js";
import { allVideos } from "./video-elements.js";
import { collectHints, titleOf, watchSources } from "./address-hints.js";

const WATCH_MS = 500; // how often navigation is looked for while an overlay is shown

/** @type {Map<HTMLVideoElement | string, {check: VideoCheck, look: () => void}>} by video or link */
const checks = new Map();
/** @type {Map<string, AbortController>} the features that are switched on */
const features = new Map();

watchClicks();
watchSources();
onMessage(answer);
void applySettings();

async function applySettings() {
  const handshake = await requestWithRetries({ type: "handshake" });
  if (!handshake) return;
  const check = (/** @type {HTMLVideoElement} */ video) => checkVideo(video);
  const autoCheck = (/** @type {HTMLVideoElement} */ video) => void checkVideo(video, true);
  const leave = (/** @type {HTMLVideoElement} */ video) => checks.get(video)?.check.leave();
  const isChecked = (/** @type {HTMLVideoElement} */ video) => checks.has(video);
  toggle("hover", handshake.hover, (signal) => showHoverButton(handshake.locale, check, isChecked, signal));
  toggle("auto", handshake.auto, (signal) => checkWhilePlaying(autoCheck, leave, signal));
}

/**
 * Switch a feature on or off.
 * @param {string} name
 * @param {boolean} isOn
 * @param {(signal: AbortSignal) => void} run
 */
function toggle(name, isOn, run) {
  if (isOn === features.has(name)) return;
  features.get(name)?.abort();
  features.delete(name);
  if (!isOn) return;
  const controller = new AbortController();
  features.set(name, controller);
  run(controller.signal);
}

/** @param {PageRequest} request @returns {Promise<unknown> | undefined} */
function answer(request) {
  if (request.type === "videos") return Promise.resolve(listVideos());
  if (request.type === "frames") return Promise.resolve([listFrames()]);
  if (request.type === "settings") return applySettings();
  const isPressed = request.isByKeys && [...checks.values()].some(({ check }) => check.press());
  return isPressed ? Promise.resolve(true) : start(request.video).then(() => true);
}

/** @param {import("../shared/messages.js").VideoRef} ref */
async function start(ref) {
  if (ref.link) return begin(ref.link, null, resolveLink(ref.link), "");
  const video = findVideo(ref);
  return video ? checkVideo(video) : begin("page", null, resolveLink(location.href), document.title);
}

/** @param {HTMLVideoElement} video @param {boolean} [isAutomatic] */
function checkVideo(video, isAutomatic = false) {
  return begin(video, video, resolveTarget(collectHints(video)), titleOf(video), isAutomatic);
}

/**
 * Begin a check, or open the panel of the one that is there.
 * @param {HTMLVideoElement | string} key
 * @param {HTMLVideoElement | null} video
 * @param {import("./site-urls.js").Target} target
 * @param {string} title
 * @param {boolean} [isAutomatic] no person asked: nothing is opened, and a failure leaves no trace
 */
async function begin(key, video, target, title, isAutomatic = false) {
  const handshake = await requestWithRetries({ type: "handshake" });
  if (!handshake) return;
  const { VideoCheck } = await import("./video-check.js"); // only where a check is asked for
  checks.get(key)?.look();
  const known = checks.get(key);
  if (known) return isAutomatic || known.check.open();
  const controller = new AbortController();
  const check = new VideoCheck({ video, target, title, handshake, isAutomatic, controller });
  controller.signal.addEventListener("abort", () => checks.delete(key));
  const onHeir = (/** @type {HTMLVideoElement} */ heir) => void checkVideo(heir, check.isAutomatic);
  checks.set(key, { check, look: abortOnNavigation(video, controller, onHeir) });
  void check.check();
}

/**
 * End a check with its video: removed, replaced by another in the same player, or the page navigated in place.
 * @param {HTMLVideoElement | null} video
 * @param {AbortController} controller
 * @param {(heir: HTMLVideoElement) => void} onHeir where a page has made another element for the same file
 * @returns {() => void} looks at once
 */
function abortOnNavigation(video, controller, onHeir) {
  let address = addressOf(location.href);
  let source = video && sourceOf(video);
  const isReplaced = () => {
    const [before, now] = [source, video && sourceOf(video)];
    source = now; // a length that grows while it is loaded grows from there
    return before && now && (!video?.isConnected || !isSameSource(before, now));
  };
  const hasMoved = () => {
    const before = address;
    address = addressOf(location.href);
    return address !== before && !parseWebUrl(video?.currentSrc); // a file that plays on is the same video
  };
  const look = () => {
    if (!hasMoved() && !isReplaced() && isAlive()) return;
    controller.abort();
    const heir = video?.isConnected || !parseWebUrl(source?.src) ? undefined : findSameFile(source?.src);
    if (heir && isAlive()) onHeir(heir);
  };
  const timer = setInterval(look, WATCH_MS);
  for (const type of ["popstate", "pagehide"]) addEventListener(type, look, { signal: controller.signal });
  controller.signal.addEventListener("abort", () => clearInterval(timer));
  return look;
}

/** @param {string | undefined} src */
function findSameFile(src) {
  return allVideos().find((video) => video.currentSrc === src && !checks.has(video));
}

/**
 * Get what identifies a page: no time or tracking parameter, a fragment only where it is a route.
 * @param {string} href
 */
function addressOf(href) {
  const { hash } = new URL(href);
  return `${resolveLink(href).url} ${/^#[!/@]/.test(hash) ? hash : ""}`;
}
