/**
 * One person over the tracks of several windows, as in Python's `faces/subjects.py`. Pure.
 *
 * @import { Box } from "./boxes.js"
 * @import { Clip, ClipSpec } from "./clips.js"
 * @import { Face } from "./face-detector.js"
 * @import { RgbImage } from "./image-ops.js"
 * @import { Detection, Track, Window } from "./tracking.js"
 *
 * @typedef {object} Subject
 * @property {number} id
 * @property {{seconds: number, box: Box}[]} boxes px of the pictures as a player shows them
 * @property {number[]} embedding sum of those of each track
 * @property {number[] | null} frontalEmbedding the same of tracks that faced the camera
 *
 * @typedef {{id: number, clip: Clip}} SubjectClip of a subject in a window
 */

import constants from "../shared/constants.js";
import { dot, embed } from "./appearance.js";
import { cropClip } from "./clips.js";
import { ShotFinder } from "./shots.js";
import { exclusionReason, linkTracks, meanArea } from "./tracking.js";
import { turnBack } from "./upright.js";

const { MAX_SUBJECTS, SAME_PERSON, CLEAR_SIMILARITY, OTHER_PERSON, FRONTAL } = constants.pipeline;
const { MIN_FRAMES } = constants.tracking;

/** Follow every person from window to window, and count what was analysed. */
export class SubjectTracker {
  frames = 0;
  framesWithFace = 0;
  analysedSeconds = 0;
  turned = false; // faces were found only after quarter turns
  tooMany = false;
  #shots = new ShotFinder();
  /** @type {Map<number, Track & {shot: number}>} last track of every face, scored or not, and where that was */
  #lastTracks = new Map();
  /** @type {Map<number, string>} why a face was left out where it was seen last */
  #exclusions = new Map();
  /** @type {Subject[]} in the order in which they were seen */
  subjects = [];
  /** @type {Map<number, Subject>} who was seen last at a place, by track id */
  #subjects = new Map();

  /**
   * @param {ClipSpec} spec
   * @param {Float32Array} projection of appearances
   */
  constructor(spec, projection) {
    this.spec = spec;
    this.projection = projection;
  }

  /** Codes of why faces were left out wherever they were seen; beside one that is judged, none was one for a moment. */
  get excluded() {
    const left = [...this.#exclusions].filter(([track]) => !this.#subjects.has(track)).map(([, reason]) => reason);
    return left.filter((reason) => reason !== "face_too_brief" || !this.#subjects.size);
  }

  /**
   * Track the faces of one more window.
   * @param {Window} window
   * @param {readonly Face[][]} faces of each frame
   * @returns {SubjectClip[]} to be scored
   */
  add(window, faces) {
    const { images, seconds, turns } = window;
    this.frames += images.length;
    this.turned ||= turns > 0;
    this.framesWithFace += faces.filter((some) => some.length).length;
    this.analysedSeconds += shownSeconds(seconds);
    return this.#shots.split(images).flatMap(({ shot, begin, end }) => {
      if (end - begin < Math.min(MIN_FRAMES, images.length)) return [];
      const shown = { images: images.slice(begin, end), seconds: seconds.slice(begin, end), turns };
      return this.#addShot(shot, shown, faces.slice(begin, end));
    });
  }

  /**
   * Add frames of one shot; a face is known by its place only where the same setting was shown before.
   * @param {number} shot
   * @param {Window} window
   * @param {readonly Face[][]} faces
   */
  #addShot(shot, window, faces) {
    const known = [...this.#lastTracks.values()].filter((track) => track.shot === shot);
    const tracks = linkTracks(faces, window.seconds, known, this.#lastTracks.size);
    for (const track of tracks) this.#lastTracks.set(track.id, { ...track, shot });
    const largestFirst = [...tracks].sort((a, b) => meanArea(b) - meanArea(a));
    return largestFirst.flatMap((track) => {
      const reason = exclusionReason(track, window);
      if (reason === null) return this.#addTrack(track, shot, window);
      this.#exclusions.set(track.id, reason);
      return [];
    });
  }

  /**
   * @param {Track} track
   * @param {number} shot
   * @param {Window} window
   * @returns {SubjectClip[]} none when there are too many people
   */
  #addTrack(track, shot, window) {
    const { images, turns } = window;
    const { frame, landmarks } = /** @type {Detection} */ (track.detections[Math.floor(track.detections.length / 2)]);
    const embedding = embed(/** @type {RgbImage} */ (images[frame]), landmarks, this.projection);
    const before = this.#subjects.get(track.id);
    const frontal = isFrontal(landmarks);
    const isOther =
      frontal && before?.frontalEmbedding && similarity(embedding, before.frontalEmbedding) < OTHER_PERSON;
    const known = before && !isOther ? before : this.#findPerson(embedding, shot);
    if (!known && this.subjects.length === MAX_SUBJECTS) {
      this.tooMany = true;
      return [];
    }
    const subject = known ?? {
      id: this.subjects.length,
      boxes: [],
      embedding: embedding.map(() => 0),
      frontalEmbedding: null,
    };
    if (!known) this.subjects.push(subject);
    this.#subjects.set(track.id, subject);
    subject.embedding = subject.embedding.map((sum, at) => sum + (embedding[at] ?? 0));
    if (frontal) subject.frontalEmbedding = embedding.map((value, at) => value + (subject.frontalEmbedding?.[at] ?? 0));
    for (const { seconds, box, frame } of track.detections) {
      subject.boxes.push({ seconds, box: turnBack(box, turns, /** @type {RgbImage} */ (images[frame])) });
    }
    return [{ id: subject.id, clip: cropClip(window, track, this.spec) }];
  }

  /**
   * Find the one subject who looks so and was not seen in this shot; in doubt none.
   * @param {readonly number[]} embedding
   * @param {number} shot
   */
  #findPerson(embedding, shot) {
    const here = [...this.#subjects].filter(([id]) => this.#lastTracks.get(id)?.shot === shot);
    const others = this.subjects.filter((subject) => !here.some(([, one]) => one === subject));
    const similarities = others.map((subject) => similarity(embedding, subject.embedding));
    const [best = -1, second = -Infinity] = [...similarities].sort((a, b) => b - a);
    return best >= SAME_PERSON && best - second >= CLEAR_SIMILARITY ? others[similarities.indexOf(best)] : undefined;
  }
}

/**
 * Compute how much a face looks like the sum of others, -1..1.
 * @param {readonly number[]} embedding
 * @param {readonly number[]} embeddings
 */
const similarity = (embedding, embeddings) => dot(embedding, embeddings) / Math.hypot(...embeddings);

/**
 * Tell whether a face is turned towards the camera: its nose lies between its eyes.
 * @param {readonly (readonly number[])[]} landmarks
 */
function isFrontal(landmarks) {
  const [[x0 = 0, y0 = 0] = [], [x1 = 0, y1 = 0] = [], [x = 0, y = 0] = []] = landmarks;
  const offset = (x - (x0 + x1) / 2) * (x1 - x0) + (y - (y0 + y1) / 2) * (y1 - y0);
  return Math.abs(offset) < FRONTAL * ((x1 - x0) ** 2 + (y1 - y0) ** 2);
}

/**
 * Compute how long a window is shown: to its last frame, and that one's own duration.
 * @param {readonly number[]} seconds
 */
function shownSeconds(seconds) {
  const count = seconds.length;
  return count < 2 ? 0 : (((seconds.at(-1) ?? 0) - (seconds[0] ?? 0)) * count) / (count - 1);
}
