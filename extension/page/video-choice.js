/**
 * Which video of a page a person means: hovered, last clicked, playing, largest in view and not covered.
 * One that only decorates the page counts little, however large it is.
 *
 * @import { Candidate } from "../shared/messages.js"
 *
 * @typedef {object} VideoState what counts in the choice
 * @property {boolean} hovered
 * @property {number} clickedAgoMs
 * @property {boolean} playing
 * @property {boolean} muted
 * @property {boolean} hasControls of the browser
 * @property {number} visibleShare of the window's area that shows it
 * @property {number} opacity 0..1
 * @property {boolean} isDecoration short, without sound and controls, in a loop or over most of the window
 */

import { parseWebUrl } from "../shared/urls.js";
import { lengthOf } from "./player-state.js";
import { allVideos, findAll, isFloating, isLarge, placeOf, videoAt } from "./video-elements.js";
import { titleOf } from "./address-hints.js";
import { boxInTab, coveredShare, FAINT, isBehindModal, opacityOf, visibleShare } from "./visibility.js";

const PICTURE_PX = 96;
const MIN_FRAME_PX = 150;
const CLICK_MS = 30_000; // so long after a click the video is probably meant
const DECORATION = 0.05; // what a decoration counts
const DECORATION_SECONDS = 90; // and no longer
const LARGE = 0.5; // share of the window
const MAX_LISTED = 9;

/** @type {WeakMap<HTMLVideoElement, number>} */
const ids = new WeakMap();
/** @type {WeakMap<HTMLVideoElement, number>} */
const clicks = new WeakMap();
let lastId = 0;

/** Score how likely a video is the one that is meant. @param {VideoState} state @returns {number} */
export function score(state) {
  const { hovered, clickedAgoMs, playing, muted, hasControls, visibleShare, opacity, isDecoration } = state;
  const clicked = clickedAgoMs < CLICK_MS ? 2 : 0;
  const heard = (playing && !muted ? 0.5 : 0) + (hasControls ? 0.2 : 0);
  const shown = opacity * ((playing ? 1 : 0) + visibleShare * 2);
  const isBehind = isDecoration && (visibleShare > LARGE || opacity < FAINT); // where a pointer is over it anyway
  return (hovered && !isBehind ? 4 : 0) + clicked + heard + (isDecoration ? DECORATION * shown : shown);
}

/** @returns {{video: HTMLVideoElement, rank: number}[]} large enough to be watched, the most likely first */
function rankedVideos() {
  const large = allVideos().filter((video) => isLarge(placeOf(video)));
  return large.map((video) => ({ video, rank: score(stateOf(video)) })).sort((a, b) => b.rank - a.rank);
}

/** @param {HTMLVideoElement} video @returns {VideoState} */
function stateOf(video) {
  const floats = isFloating(video);
  const share = floats ? 1 : visibleShare(placeOf(video).getBoundingClientRect());
  const { muted, controls, loop, autoplay, duration } = video;
  const isBackground = loop || (autoplay && share > LARGE);
  const isEmpty = !video.src && !video.currentSrc && !video.srcObject; // as one that waits for the next clip
  return {
    hovered: video.matches(":hover"),
    clickedAgoMs: performance.now() - (clicks.get(video) ?? -Infinity),
    playing: !video.paused && !video.ended,
    muted: muted || video.volume === 0,
    hasControls: controls,
    visibleShare: floats ? share : share && share * (1 - coveredShare(video)),
    opacity: floats ? 1 : isEmpty || isBehindModal(video) ? 0 : opacityOf(video),
    isDecoration: isBackground && muted && !controls && !(duration > DECORATION_SECONDS),
  };
}

/** @param {HTMLVideoElement} video @returns {number} */
function idOf(video) {
  const id = ids.get(video) ?? ++lastId;
  ids.set(video, id);
  return id;
}

/** List the videos for the background. @returns {Candidate[]} the most likely first */
export function listVideos() {
  return rankedVideos().map(({ video, rank }, place) => ({
    id: idOf(video),
    score: rank,
    title: titleOf(video),
    playing: !video.paused && !video.ended,
    duration: lengthOf(video) < Infinity ? video.duration : 0,
    width: placeOf(video).clientWidth,
    height: placeOf(video).clientHeight,
    picture: place < MAX_LISTED ? pictureOf(video) : null,
    box: boxInTab(video),
  }));
}

/**
 * Draw a small picture of what a player shows.
 * @param {HTMLVideoElement} video
 * @returns {string | null} data URL; null where the page may not read it, or there is none yet
 */
function pictureOf(video) {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [
    PICTURE_PX,
    Math.round((PICTURE_PX * video.videoHeight) / Math.max(1, video.videoWidth)),
  ];
  try {
    canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/jpeg", 0.7);
  } catch {
    return null; // of another site
  }
}

/**
 * Find the video that is meant.
 * @param {import("../shared/messages.js").VideoRef} ref
 * @returns {HTMLVideoElement | undefined}
 */
export function findVideo({ id, src }) {
  const ranked = rankedVideos().map(({ video }) => video);
  if (id !== undefined) return ranked.find((video) => idOf(video) === id);
  const same = src ? ranked.filter((video) => video.currentSrc === src || video.src === src) : [];
  return same[0] ?? ranked[0];
}

/** Note which video was clicked last. */
export function watchClicks() {
  const note = (/** @type {Event} */ event) => {
    const video = event instanceof PointerEvent && videoAt(event.clientX, event.clientY);
    if (video) clicks.set(video, performance.now());
  };
  addEventListener("pointerdown", note, { capture: true, passive: true });
}

/**
 * List the large frames whose page is not this one's to read, in which a player may lie.
 * @returns {import("../shared/messages.js").FrameList}
 */
export function listFrames() {
  const found = /** @type {HTMLIFrameElement[]} */ (findAll("iframe, frame, embed, object"));
  const frames = found.flatMap((frame) => {
    const { clientWidth, clientHeight, contentWindow, contentDocument } = frame;
    const address = frame.src || /** @type {any} */ (frame).data || "about:blank";
    const url = parseWebUrl(address);
    if (Math.min(clientWidth, clientHeight) < MIN_FRAME_PX || contentDocument) return [];
    if (!url && !address.startsWith("about:")) return [];
    const origin = url && url.origin !== location.origin ? url.origin : "";
    return [{ place: contentWindow && pathOf(contentWindow), origin }];
  });
  return { place: pathOf(window), frames };
}

/** Tell where a frame lies among all, which frames of other sites may ask, too. @param {Window} view */
function pathOf(view) {
  const { parent } = view;
  /** @type {string} */
  const around = view === window.top ? "" : pathOf(parent);
  return `${around} ${Array.from({ length: parent.length }, (_, place) => parent[place]).indexOf(view)}`;
}
