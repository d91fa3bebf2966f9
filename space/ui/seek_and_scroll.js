// Script of the page: a click on a moment seeks the video, and a new check scrolls into view.
// It runs once, in the head; elements come and go, so that listeners are on the document.
(() => {
  "use strict";

  /** @returns {HTMLVideoElement | null} the video with the findings, once there is one */
  const player = () => document.querySelector("#um-video video");

  /** @param {Element} element @returns {number | null} the time in the player that an element stands for */
  const secondsOf = (element) => {
    const seconds = Number.parseFloat(element.closest("#um-result [data-seconds]")?.getAttribute("data-seconds") ?? "");
    const offset = Number.parseFloat(element.closest("[data-offset]")?.getAttribute("data-offset") ?? "0");
    return Number.isFinite(seconds) ? Math.max(0, seconds - offset) : null;
  };

  /** @returns {ScrollBehavior} */
  const scrolling = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  /** @param {Event} event */
  const seek = (event) => {
    const seconds = event.target instanceof Element ? secondsOf(event.target) : null;
    const video = player();
    if (seconds === null || !video) return;
    event.preventDefault();
    video.pause();
    video.currentTime = Number.isFinite(video.duration) ? Math.min(seconds, video.duration) : seconds;
    video.scrollIntoView({ block: "nearest", behavior: scrolling() });
  };

  /** @param {Event} event */
  const scrollToStatus = (event) => {
    const button =
      event.target instanceof Element && event.target.closest("#um-check-link, #um-check-file, .um-example");
    if (!button) return;
    document.querySelector("#um-status")?.scrollIntoView({ block: "nearest", behavior: scrolling() });
  };

  document.addEventListener("click", seek);
  document.addEventListener("click", scrollToStatus);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") seek(event);
  });
})();
