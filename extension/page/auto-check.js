/** Checks of videos as they play, on the sites that a person switched this on for. */

import { isAlive } from "../shared/browser.js";
import { isSameSource, sourceOf } from "./player-state.js";
import { isFloating, searchVideos } from "./video-elements.js";
import { isSeen } from "./visibility.js";

const INTERVAL_MS = 1000;
const MIN_LOOKS = 3; // so many looks in a row it must be playing: what is scrolled past is not watched
const MIN_PX = 160;
const MAX_CHECKS = 30; // a page: an endless feed is no reason to ask the Space endlessly

/**
 * Check every video that is watched.
 * @param {(video: HTMLVideoElement) => void} check
 * @param {(video: HTMLVideoElement) => void} leave ends a check that nobody waits for any more
 * @param {AbortSignal} signal
 */
export function checkWhilePlaying(check, leave, signal) {
  /** @type {WeakMap<HTMLVideoElement, {source: import("./player-state.js").VideoSource, looks: number}>} */
  const seen = new WeakMap();
  const search = searchVideos();
  let checks = 0;
  const look = () => {
    if (!isAlive()) return clearInterval(timer);
    if (document.hidden) return;
    const videos = search();
    videos.filter((video) => !isInView(video)).forEach(leave);
    for (const video of videos.filter(isWatched)) {
      const before = seen.get(video);
      const source = sourceOf(video);
      const looks = before && isSameSource(before.source, source) ? before.looks + 1 : 1;
      const isDue = looks === MIN_LOOKS && isSeen(video);
      seen.set(video, { source, looks: looks === MIN_LOOKS && !isDue ? looks - 1 : looks });
      if (isDue && checks++ < MAX_CHECKS) check(video);
    }
  };
  const timer = setInterval(look, INTERVAL_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/**
 * Tell whether a video plays, is large enough, and has its middle in view.
 * @param {HTMLVideoElement} video
 */
function isWatched(video) {
  const isLarge = Math.min(video.clientWidth, video.clientHeight) >= MIN_PX;
  return isLarge && !video.paused && !video.ended && isInView(video);
}

/** @param {HTMLVideoElement} video */
function isInView(video) {
  const { left, top, right, bottom } = video.getBoundingClientRect();
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return isFloating(video) || (x > 0 && y > 0 && x < innerWidth && y < innerHeight);
}
