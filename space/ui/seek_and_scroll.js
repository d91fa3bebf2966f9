// Script of the page: a click on a moment seeks the video, on a listed video checks it; a new check scrolls into view.
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

  /** @param {MouseEvent} event */
  const checkLink = (event) => {
    const link = event.target instanceof Element && event.target.closest("#um-status a[data-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    /** @type {HTMLInputElement | null} */
    const box = document.querySelector("#um-url :is(input, textarea)");
    /** @type {HTMLButtonElement | null} */
    const button = document.querySelector("button#um-check-link");
    if (!box || !button) return;
    event.preventDefault();
    box.value = link.getAttribute("href") ?? "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => button.click());
  };

  document.addEventListener("click", seek);
  document.addEventListener("click", checkLink);
  document.addEventListener("click", scrollToStatus);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") seek(event);
  });
})();
