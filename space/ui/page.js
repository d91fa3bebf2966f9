// What the page does by itself: a click on a moment takes the video there, and a new check comes into view.
// Runs once, in the head; the elements come and go, so everything listens on the document.
(() => {
  "use strict";

  /** @returns {HTMLVideoElement | null} the video with the findings, once there is one */
  const player = () => document.querySelector("#um-video video");

  /** @param {Element} element @returns {number | null} where in the player the moment is that an element stands for */
  const momentOf = (element) => {
    const seconds = Number.parseFloat(element.closest("#um-result [data-seconds]")?.getAttribute("data-seconds") ?? "");
    const offset = Number.parseFloat(element.closest("[data-offset]")?.getAttribute("data-offset") ?? "0");
    return Number.isFinite(seconds) ? Math.max(0, seconds - offset) : null;
  };

  /** @param {Event} event */
  const seek = (event) => {
    const seconds = event.target instanceof Element ? momentOf(event.target) : null;
    const video = player();
    if (seconds === null || !video) return;
    event.preventDefault();
    video.pause();
    video.currentTime = Number.isFinite(video.duration) ? Math.min(seconds, video.duration) : seconds;
    video.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
  };

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  /** @param {Event} event */
  const follow = (event) => {
    const asked =
      event.target instanceof Element && event.target.closest("#um-check-link, #um-check-file, .um-example");
    if (!asked) return;
    document.querySelector("#um-status")?.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
  };

  document.addEventListener("click", seek);
  document.addEventListener("click", follow);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") seek(event);
  });
})();
