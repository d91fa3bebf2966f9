/**
 * Types of the messages between the parts of the extension.
 *
 * @typedef {{seconds: number, jpeg: string, hdr?: boolean}} Frame jpeg: base64; hdr: the video was, not the picture
 *
 * @typedef {object} Snapshot a check at one moment
 * @property {string} key
 * @property {boolean} finished
 * @property {string} stage
 * @property {number} fraction 0..1
 * @property {number} position 1: next in the queue; 0: not waiting
 * @property {import("./report.js").Report | null} report present when, and only when, it has finished
 * @property {number} waitMs when to poll again
 *
 * @typedef {{failure: string}} Failure code of what went wrong before a check began
 *
 * @typedef {object} Handshake what a page's part needs to know first
 * @property {import("./i18n.js").Locale} locale
 * @property {string | null} space its address
 * @property {boolean} onDevice checks are done on this computer, and nothing is sent
 * @property {import("./settings.js").Consent} consent
 * @property {boolean} hover
 * @property {boolean} auto videos of this page are checked as they play
 *
 * @typedef {object} Candidate a video of a frame
 * @property {number} id in its frame
 * @property {number} score how likely it is the one that is meant
 * @property {string} title
 * @property {boolean} playing
 * @property {number} duration seconds; 0: unknown
 * @property {number} width px in the page
 * @property {number} height px in the page
 * @property {string | null} picture data URL; null where the page may not read it
 * @property {TabBox | null} box
 *
 * @typedef {{left: number, top: number, width: number, height: number, tabWidth: number}} TabBox px of the tab
 *
 * @typedef {object} FrameList
 * @property {string} place of the frame among all of the tab
 * @property {{place: string | null, origin: string}[]} frames in it; origin: of another site, if its address tells one;
 *   place: null where it is not known
 *
 * @typedef {{id?: number, src?: string, link?: string}} VideoRef empty: the one that is probably meant
 *
 * @typedef {object} Shape of a video in a player
 * @property {number} duration seconds
 * @property {number} aspect width / height
 *
 * @typedef {{seconds: number, luma: string}} Picture luma: brightness by cell, base64, see page/fingerprint.js
 *
 * @typedef {Shape & {url: string | null, pictures: Picture[]}} Fingerprint url: its own address, if it has one
 *
 * @typedef {object} Remembered a report of the history that may be of the same video: its pictures decide
 * @property {string} key
 * @property {import("./report.js").Report} report
 * @property {Fingerprint} fingerprint
 * @property {number} savedAt ms
 *
 * @typedef {{title: string, snapshot: Snapshot}} TabCheck a check that was begun in a tab
 *
 * @typedef {object} CheckOptions
 * @property {string} url
 * @property {string} [title] of the video
 * @property {import("./report.js").SiteLabel | null} [site] how its page labels it
 * @property {boolean} [isOwn] the address stands for this one video, so that all who ask for it may share a job
 * @property {string | undefined} [replaces] key of a report of the same video
 * @property {string | undefined} [model]
 * @property {boolean} [onSpace] whatever the settings say
 * @property {boolean} [isPrivate] set by the background
 *
 * To the background, by type, with the answer of each:
 * @typedef {(
 *   | {type: "handshake"}
 *   | {type: "remembered", shape: Shape, model: string | undefined, onSpace: boolean}
 *   | {type: "check", fingerprint: Fingerprint | null} & CheckOptions
 *   | {type: "capture"} & CheckOptions
 *   | {type: "frames", key: string, frames: Frame[] | null, fingerprint: Fingerprint | null}
 *   | {type: "poll", key: string}
 *   | {type: "cancel", key: string}
 *   | {type: "screenshot"}
 *   | {type: "consent", consent: import("./settings.js").Consent}
 *   | {type: "models"}
 *   | {type: "open", path: string, url?: string | null}
 *   | {type: "notice", text: string}
 *   | {type: "videos", tabId: number}
 *   | {type: "foreignFrames", tabId: number}
 *   | {type: "checks", tabId: number}
 *   | {type: "start", tabId: number, frameId: number, id?: number | undefined}
 * )} Request
 *
 * @typedef {object} Replies
 * @property {Handshake} handshake
 * @property {Remembered[]} remembered
 * @property {Snapshot | Failure} check
 * @property {Snapshot | Failure} capture
 * @property {Snapshot | Failure} frames null: there are no more
 * @property {Snapshot | Failure} poll
 * @property {Snapshot | Failure} cancel
 * @property {string} screenshot data URL of the visible tab
 * @property {void} consent
 * @property {{name: string}[]} models
 * @property {void} open
 * @property {(Candidate & {frameId: number})[]} videos of the extension's own pages only, as `start`
 * @property {void} notice
 * @property {string[]} foreignFrames origins that the extension may not enter; empty: a frame whose site is not known
 * @property {TabCheck[]} checks
 * @property {unknown} start
 *
 * To a page's part:
 * @typedef {(
 *   | {type: "videos"}
 *   | {type: "frames"}
 *   | {type: "settings"}
 *   | {type: "start", video: VideoRef, isByKeys?: boolean}
 * )} PageRequest isByKeys: those of the shortcut
 *
 * To and from the web worker that runs the detector, over a port:
 * @typedef {(
 *   | {type: "check", pageUrl: string, title: string}
 *   | {type: "frames", frames: Frame[] | null}
 * )} DetectorRequest
 * @typedef {(
 *   | {type: "progress", stage: string, fraction: number}
 *   | {type: "report", report: unknown}
 *   | {type: "error", message: string}
 * )} DetectorReply
 */

export {};
