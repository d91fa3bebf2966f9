/** The position, volume and play state of a player. */

/**
 * Tell whether a player can seek, unlike that of a live stream.
 * @param {HTMLVideoElement} video
 */
export function canSeek({ duration, seekable }) {
  const end = seekable.length > 0 ? seekable.end(seekable.length - 1) : 0;
  return Number.isFinite(duration) && duration > 0 && end > 0;
}

/**
 * Mute the player and save its state.
 * @param {HTMLVideoElement} video
 * @returns {() => void} puts everything back
 */
export function muteAndSave(video) {
  const { currentTime, paused, muted, volume, playbackRate } = video;
  video.muted = true;
  return () => {
    if (canSeek(video)) video.currentTime = currentTime;
    Object.assign(video, { muted, volume, playbackRate });
    if (paused) video.pause();
    else void video.play().catch(() => {});
  };
}
