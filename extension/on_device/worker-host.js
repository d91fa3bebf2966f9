/**
 * Starts the web worker at the first check, passes messages between ports and it, one check after the other, and ends
 * it when it is idle, so that its memory is freed. Lives in the offscreen document in Chromium, in the background
 * page in Firefox.
 *
 * @import { DetectorReply, DetectorRequest } from "../shared/messages.js"
 *
 * @typedef {object} Port the part of chrome.runtime.Port that is used
 * @property {(message: any) => void} postMessage
 * @property {() => void} disconnect
 * @property {{addListener: (listener: (message: any) => void) => void}} onMessage
 * @property {{addListener: (listener: () => void) => void}} onDisconnect called at the other end only
 */

const IDLE_MS = 60_000;
const startWorker = () => new Worker(new URL("worker.js", import.meta.url), { type: "module" });

/** Serve checks with one worker. */
export class WorkerHost {
  /** @type {Worker | undefined} */
  #worker;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  #pending = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idleTimer;

  /** @param {() => void} [onIdle] @param {() => Worker} [start] @param {number} [idleMs] */
  constructor(onIdle = () => {}, start = startWorker, idleMs = IDLE_MS) {
    this.onIdle = onIdle;
    this.start = start;
    this.idleMs = idleMs;
  }

  /**
   * Run the check that is requested over a port, after those before it.
   * @param {Port} port its other end closes it, before the report to cancel the check
   */
  serve(port) {
    clearTimeout(this.#idleTimer);
    this.#pending++;
    const link = new Link(port);
    const running = this.#last.then(() => (link.isOpen ? this.#run(link) : undefined));
    this.#last = running
      .catch((error) => link.reply({ type: "error", message: String(error) }))
      .finally(() => this.#rest());
  }

  /** @param {Link} link @returns {Promise<void>} resolves when the worker is free again */
  #run(link) {
    const worker = (this.#worker ??= this.start());
    return new Promise((resolve) => {
      const finish = () => (
        link.connect(
          () => {},
          () => {},
        ),
        resolve()
      );
      const fail = (/** @type {string} */ message) => {
        this.#end(); // a network that runs cannot be stopped otherwise
        link.reply({ type: "error", message });
        finish();
      };
      worker.onerror = ({ message }) => fail(message);
      worker.onmessage = (/** @type {MessageEvent<DetectorReply>} */ { data }) => {
        if (data.type === "error") return fail(data.message);
        if (data.type === "report") finish();
        link.reply(data);
      };
      link.connect(
        (request) => worker.postMessage(request),
        () => fail("cancelled"),
      );
    });
  }

  #rest() {
    if (--this.#pending) return;
    this.#idleTimer = setTimeout(() => (this.#end(), this.onIdle()), this.idleMs);
  }

  #end() {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

/** One check's port: keeps requests until the worker is free for them. */
class Link {
  isOpen = true;
  #onClose = () => {};
  /** @type {DetectorRequest[]} */
  #waiting = [];
  /** @type {(request: DetectorRequest) => void} */
  #forward = (request) => void this.#waiting.push(request);

  /** @param {Port} port */
  constructor(port) {
    this.port = port;
    port.onMessage.addListener((request) => this.#forward(request));
    port.onDisconnect.addListener(() => ((this.isOpen = false), this.#onClose()));
  }

  /** @param {DetectorReply} reply */
  reply(reply) {
    if (this.isOpen) this.port.postMessage(reply);
  }

  /** @param {(request: DetectorRequest) => void} forward @param {() => void} onClose */
  connect(forward, onClose) {
    [this.#forward, this.#onClose] = [forward, onClose];
    this.#waiting.splice(0).forEach(forward);
  }
}

/** Connect two ports within one page. @returns {[Port, Port]} */
export function connectPorts() {
  const [a, b] = [new LocalPort(), new LocalPort()];
  [a.other, b.other] = [b, a];
  return [a, b];
}

/** @implements {Port} */
class LocalPort {
  /** @type {LocalPort} */
  other = this;
  onMessage = new Listeners();
  onDisconnect = new Listeners();

  /** @param {any} message */
  postMessage(message) {
    this.other.onMessage.call(message);
  }

  disconnect() {
    this.other.onDisconnect.call(undefined);
  }
}

class Listeners {
  /** @type {((message: any) => void)[]} */
  #all = [];

  /** @param {(message: any) => void} listener */
  addListener(listener) {
    this.#all.push(listener);
  }

  /** @param {any} message */
  call(message) {
    for (const listener of this.#all) listener(message);
  }
}
