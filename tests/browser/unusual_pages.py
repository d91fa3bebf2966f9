"""Pages that show their video in a way that a checker may stumble over: players, styles, policies, hostile scripts.

/case/NAME for each of `CASES`; what a check of it has to end with stands beside the page.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.browser.person import FAKE
from tests.browser.sites import encoded, fragment, pictures
from tests.media import EXAMPLES, RATE
from tests.servers import Answer, begun, content, html, media

MODULES = Path(__file__).resolve().parents[1] / "node_modules"
KEY, KEY_ID = "00112233445566778899aabbccddeeff", "0123456789abcdef0123456789abcdef"
VIDEO = "<video controls muted style='width: 480px; height: 360px'"


def blob(clip: str = "/short.mp4", place: int = 0) -> str:
    """Load a file as script does it: the Space cannot get it, so pictures are captured."""
    return f"""<script>
    fetch("{clip}").then((given) => given.blob()).then((data) => {{
        document.querySelectorAll("video")[{place}].src = URL.createObjectURL(data);
    }});</script>"""


@dataclass(frozen=True)
class Case:
    body: str
    asked: str = ""  # the file whose address is sent; empty: captured pictures
    badge: str = FAKE
    detail: str = ""  # what the panel says
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "text/html; charset=utf-8"
    after: str = "true"  # what comes to hold in the page
    is_listed: bool = False  # the answer is looked for in the list of the popup: drivers see no badge there
    needs: str = "true"  # of the browser
    first_seconds: float = 0.0  # of its pictures
    shadows: tuple[str, ...] = ()  # hosts of shadow roots around the badge


UNDONE_SEEKS = """<script>
const video = document.querySelector("video");
let seen = 0;
video.ontimeupdate = () => { if (!video.seeking) seen = Math.max(seen, video.currentTime); };
video.onseeking = () => { if (video.currentTime > seen + 0.5) video.currentTime = seen; };
</script>"""
OVERRIDDEN = """<script>
setTimeout(() => {
for (const name of ["currentTime", "duration", "currentSrc", "paused", "playbackRate", "readyState"]) {
  Object.defineProperty(HTMLMediaElement.prototype, name, { get: () => 0, set() { throw new Error("no"); } });
}
HTMLMediaElement.prototype.play = HTMLMediaElement.prototype.pause = () => { throw new Error("no"); };
Element.prototype.attachShadow = Document.prototype.createElement = () => { throw new Error("no"); };
}, 500); // once its own script has run
</script>"""
WORKER = """<script>
const code = `onmessage = async ({ data }) => {
  const source = new MediaSource();
  source.onsourceopen = async () => {
    const buffer = source.addSourceBuffer('video/mp4; codecs="CODEC"');
    buffer.onupdateend = () => source.readyState === "open" && source.endOfStream();
    buffer.appendBuffer(await (await fetch(data)).arrayBuffer());
  };
  postMessage(source.handle, [source.handle]);
};`;
const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
worker.onmessage = ({ data }) => (document.querySelector("video").srcObject = data);
worker.postMessage(new URL("/fragmented.mp4", location.href).href);
</script>"""
ENCRYPTED = """<script>
const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const base64 = (hex) => bytes(hex).toBase64({ alphabet: "base64url", omitPadding: true });
const video = document.querySelector("video");
(async () => {
  const type = 'video/mp4; codecs="CODEC"';
  const wanted = [{ initDataTypes: ["keyids", "cenc"], videoCapabilities: [{ contentType: type }] }];
  const keys = await (await navigator.requestMediaKeySystemAccess("org.w3.clearkey", wanted)).createMediaKeys();
  await video.setMediaKeys(keys);
  const session = keys.createSession();
  session.onmessage = () => session.update(new TextEncoder().encode(JSON.stringify(
    { keys: [{ kty: "oct", kid: base64("KEY_ID"), k: base64("KEY") }], type: "temporary" })));
  await session.generateRequest("keyids", new TextEncoder().encode(JSON.stringify({ kids: [base64("KEY_ID")] })));
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  source.onsourceopen = async () => {
    const buffer = source.addSourceBuffer(type);
    buffer.onupdateend = () => source.readyState === "open" && source.endOfStream();
    buffer.appendBuffer(await (await fetch("/encrypted.mp4")).arrayBuffer());
  };
})();
</script>"""
ENDED = """<script>
const video = document.querySelector("video");
window.ended = 0;
video.onended = () => (window.ended++ && (video.src = "/no-face.mp4"));
video.onloadeddata = () => (video.currentTime = video.duration);
</script>"""
SHADOW_DIALOG = """<outer-player></outer-player><script>
customElements.define("inner-player", class extends HTMLElement {
  connectedCallback() {
    this.attachShadow({ mode: "closed" }).innerHTML = "VIDEO src=/short.mp4></video>";
  }
});
customElements.define("outer-player", class extends HTMLElement {
  connectedCallback() {
    const root = this.attachShadow({ mode: "closed" });
    root.innerHTML = "<dialog><inner-player></inner-player></dialog>";
    root.firstChild.showModal();
  }
});
</script>"""
DIALOG_LATER = """VIDEO src=/short.mp4></video><dialog></dialog><script>
new MutationObserver((_, observer) => {
  const dialog = document.querySelector("dialog");
  observer.disconnect();
  dialog.append(document.querySelector("video"));
  dialog.showModal();
}).observe(document.documentElement, { childList: true });  // as soon as the badge is there
</script>"""
POPOVER = "<div popover>VIDEO src=/short.mp4></video></div><script>document.querySelector('div').showPopover()</script>"
CLOSING = """<script>
window.closed_ones = 0;
new MutationObserver(() => setTimeout(() => {
  for (const one of document.querySelectorAll("[popover]:popover-open")) (one.hidePopover(), window.closed_ones++);
}, 600)).observe(document.documentElement, { childList: true });
</script>"""
STOPPING = """<script>
for (const type of ["pointerdown", "pointerup", "mousedown", "mouseup", "click", "keydown", "keyup", "focusin"]) {
  window.addEventListener(type, (event) => event.stopImmediatePropagation(), true);
}
</script>"""
PREVENTING = "<script>window.addEventListener('mousedown', (event) => event.preventDefault(), true);</script>"
PREVENTED = """<script>
window.addEventListener("click", (event) => { event.preventDefault(); event.stopImmediatePropagation(); }, true);
</script>"""
GLASS = """<div popover=manual style="inset: 0; width: 100vw; height: 100vh; background: none; border: 0">A pane</div>
<script>
new MutationObserver((_, observer) => {
  observer.disconnect();
  setTimeout(() => document.querySelector("div").showPopover(), 300);
  setTimeout(() => (window.isOver = true), 900);
}).observe(document.documentElement, { childList: true });  // as soon as the badge is there
</script>"""
STYLED = """<style>
* { opacity: 0.1 !important; pointer-events: none !important; transform: scale(0.2) !important;
  display: none !important; transition: all 50s !important }
html, body, video { all: revert !important }
dialog, [popover] { visibility: hidden !important; clip-path: inset(50%) !important }
html { transform: translate(100px, 80px) scale(0.8) !important; perspective: 9px !important; contain: paint !important }
</style>"""
FIELDS = ("matches", "getRootNode", "localName", "querySelectorAll", "parentElement")
FORM = f"<form>VIDEO src=/short.mp4></video>{''.join(f'<input name={name}>' for name in FIELDS)}</form>"
KEEPING = """<section role=dialog aria-modal=true>VIDEO src=/short.mp4></video><button>Close</button></section><script>
const dialog = document.querySelector("section");
const isOutside = ({ target }) => !dialog.contains(target);
addEventListener("focusin", (event) => isOutside(event) && dialog.lastChild.focus(), true);
addEventListener("pointerdown", (event) => isOutside(event) && dialog.remove(), true);
</script>"""
LIVE = """VIDEO></video><script>
const video = document.querySelector("video"), source = new MediaSource();
video.src = URL.createObjectURL(source);
source.onsourceopen = async () => {
  const buffer = source.addSourceBuffer('video/mp4; codecs="CODEC"');
  buffer.timestampOffset = FROM;
  buffer.onupdateend = () => { LENGTH; video.currentTime = FROM + 0.1; };
  buffer.appendBuffer(await (await fetch("/fragmented.mp4")).arrayBuffer());
};
</script>"""
SPEAKERS = """VIDEO autoplay></video><script>
function speak() {
  const canvas = document.createElement("canvas"), picture = Object.assign(new Image(), { src: "/face.jpg" });
  [canvas.width, canvas.height] = [480, 360];
  const pen = canvas.getContext("2d");
  setInterval(() => pen.drawImage(picture, 2 * Math.sin(Date.now() / 300), 0, 480, 360), 40);
  return canvas.captureStream(25).getVideoTracks()[0];
}
const stream = (document.querySelector("video").srcObject = new MediaStream([speak()]));
window.next = () => { stream.removeTrack(stream.getVideoTracks()[0]); stream.addTrack(speak()); };
</script>"""
REUSED = """VIDEO></video><script>
const video = document.querySelector("video"), source = new MediaSource();
video.src = URL.createObjectURL(source);
let buffer;
const done = () => new Promise((resolve) => (buffer.onupdateend = resolve));
async function next(clip, length, from, isRemoved) {
  const data = await (await fetch(clip)).arrayBuffer();
  if (isRemoved) await (buffer.remove(0, Infinity), done());
  buffer.timestampOffset = from;
  await (buffer.appendBuffer(data), done());
  source.duration = Math.max(length, buffer.buffered.end(0));
  video.currentTime = from && from + 2;
}
source.onsourceopen = () => {
  buffer = source.addSourceBuffer('video/mp4; codecs="CODEC"');
  next("/fragmented.mp4", 4, 0);
};
</script>"""
GROWING = "setInterval(() => source.duration++, 500)"
AGAIN = "VIDEO src=/again.mp4></video>"
PUT_BACK = "document.querySelector('video').currentTime < 0.2"
NEVER = """VIDEO src=/short.mp4></video><script>
onload = () => setTimeout(() => {
  document.body.append(Object.assign(document.createElement("iframe"), { src: "/never" }));
  window.isThere = true;
});
</script>"""
JPLAYER = """<div id=holder class=jp-video><div id=player style="width: 480px; height: 360px"></div></div>
<script src=/modules/jquery/dist/jquery.min.js></script>
<script src=/modules/jplayer/dist/jplayer/jquery.jplayer.min.js></script><script>
$("#player").jPlayer({
  ready() { $(this).jPlayer("setMedia", { m4v: "/short.mp4", poster: "/face.jpg" }); },
  supplied: "m4v", cssSelectorAncestor: "#holder", size: { width: "480px", height: "360px" },
});
</script>"""
MEDIAELEMENT = """<link rel=stylesheet href=/modules/mediaelement/build/mediaelementplayer.min.css>
<script src=/modules/mediaelement/build/mediaelement-and-player.min.js></script>
<video muted width=480 height=360 src=/short.mp4></video><script>
new MediaElementPlayer(document.querySelector("video"), { iconSprite: "" });
</script>"""
MEDIA_CHROME = """<script type=module src=/modules/media-chrome/dist/iife/index.js></script>
<media-controller style="width: 480px; height: 360px"><video slot=media muted src=/short.mp4></video>
<media-control-bar><media-play-button></media-play-button><media-fullscreen-button></media-fullscreen-button>
</media-control-bar></media-controller>"""
VIDSTACK = """<script type=module src=/modules/vidstack/cdn/vidstack.js></script>
<media-player muted load=eager style="display: block; width: 480px" src=/short.mp4><media-provider></media-provider>
</media-player>"""
BOX = '<div id=player style="width: 480px; height: 360px"></div>'
CLAPPR = f"""{BOX}<script src=/modules/@clappr/player/dist/clappr.min.js></script><script>
new Clappr.Player({{ source: "/short.mp4", parentId: "#player", width: 480, height: 360, mute: true }});
</script>"""
XGPLAYER = f"""{BOX}<link rel=stylesheet href=/modules/xgplayer/dist/index.min.css>
<script src=/modules/xgplayer/dist/index.min.js></script><script>
new Player({{ id: "player", url: "/short.mp4", width: 480, height: 360 }});
</script>"""
DPLAYER = f"""{BOX}<script src=/modules/dplayer/dist/DPlayer.min.js></script><script>
new DPlayer({{ container: document.getElementById("player"), video: {{ url: "/short.mp4" }} }});
</script>"""
ARTPLAYER = f"""{BOX}<script src=/modules/artplayer/dist/artplayer.js></script><script>
new Artplayer({{ container: "#player", url: "/short.mp4", muted: true }});
</script>"""
REELS = """<style>body {{ margin: 0 }} main {{ height: 700px; overflow-y: scroll; scroll-snap-type: y mandatory }}
article {{ position: relative; height: 700px; width: 394px; margin: auto; scroll-snap-align: start }}
video {{ width: 100%; height: 100%; object-fit: cover; pointer-events: none }}
p {{ position: absolute; inset: 0; color: white; background: linear-gradient(#0000 60%, #000a); margin: 0 }}</style>
<main>{}</main>"""
POST = "<article><video loop muted playsinline src=/vertical-{0}.mp4></video><p>@someone speaks</p></article>"
STACKED = """<div style="position: relative; width: 480px; height: 360px">
<video muted autoplay loop src=/short.mp4 style="position: absolute; width: 480px; height: 360px"></video>
<video muted autoplay loop src=/no-face.mp4 style="position: absolute; width: 480px; height: 360px"></video></div>"""
SWAPPED = """<style>.passed video { pointer-events: none }
video { position: absolute; width: 480px; height: 360px } [hidden] { display: none }</style>
<div id=around style="position: relative; z-index: 0; width: 480px; height: 360px; overflow: hidden"><div id=track>
<video id=other muted autoplay loop src=/no-face.mp4></video>
<video id=own muted autoplay loop src=/short.mp4></video><video></video></div></div>
<p id=cover hidden style="position: fixed; inset: 0; background: white">Another page</p>"""
POSTER = """<div style="position: relative; width: 480px; height: 360px">
<video src=/short.mp4 width=480 height=360></video>
<img src=/face.jpg style="position: absolute; inset: 0; width: 480px; height: 360px"></div>
<video muted autoplay loop src=/no-face.mp4 width=200 height=150></video>"""
PANEL = """<video muted autoplay src=/no-face.mp4 style="position: fixed; inset: 0; width: 100%; height: 100%"></video>
<main style="position: relative; background: white; width: 700px; height: 900px; margin: auto">
<h1>An article</h1><video controls src=/short.mp4 style="width: 480px"></video></main>"""
HERO = """<body style="margin: 0"><video muted autoplay src=/no-face.mp4
style="width: 100%; height: 480px; object-fit: cover"></video><h1>A film above the article, which plays once</h1>
<video controls src=/short.mp4 style="width: 400px"></video>"""
ZOOMED = """<style>html { zoom: 1.3; direction: rtl }
div { zoom: 1.2; overflow: scroll; margin: 40px }</style>"""
XHTML = """<html xmlns="http://www.w3.org/1999/xhtml"><head><title>A page</title></head><body>
<video controls="" muted="" style="width: 480px; height: 360px" src="/short.mp4"></video></body></html>"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="600" height="500"><foreignObject width="600" height="500">
<video xmlns="http://www.w3.org/1999/xhtml" controls="" muted="" style="width: 480px; height: 360px" src="/short.mp4" />
</foreignObject></svg>"""
STRICT = (
    "default-src 'none'; media-src 'self'; style-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
ISOLATED = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
FILE = "/short.mp4"
SRCDOC = f"{VIDEO}></video>{blob()}".replace("'", "&apos;")
SANDBOXED = "<iframe width=600 height=500 sandbox srcdoc='<video src=/short.mp4>'></iframe>"
FOLDERS = (
    *("jplayer/dist/jplayer", "jquery/dist", "mediaelement/build", "media-chrome/dist/iife", "vidstack/cdn"),
    *("@clappr/player/dist", "xgplayer/dist", "dplayer/dist", "artplayer/dist"),
)
KINDS = {".js": "text/javascript", ".css": "text/css"}
OUTSIDE = b'import"https://cdn.jsdelivr.net/npm/media-icons@1.1.5/dist/cdn.js/+esm";'  # icons, which no test needs

CASES = {
    "jplayer": Case(JPLAYER, FILE),
    "mediaelement": Case(MEDIAELEMENT, FILE),
    "media-chrome": Case(MEDIA_CHROME, FILE),
    "vidstack": Case(VIDSTACK, FILE),
    "clappr": Case(CLAPPR, FILE),
    "xgplayer": Case(XGPLAYER, FILE),
    "dplayer": Case(DPLAYER, FILE),
    "artplayer": Case(ARTPLAYER, FILE),
    # how it is shown
    "mirrored": Case(f"{VIDEO[:-1]}; transform: scaleX(-1)'></video>" + blob()),
    "turned": Case(f"{VIDEO[:-1]}; transform: rotate(90deg); margin: 80px'></video>" + blob("/turned.mp4")),
    "upside-down": Case(f"<div style='rotate: 180deg; width: 480px'>{VIDEO}></video></div>" + blob("/upside-down.mp4")),
    "zoomed-rtl": Case(f"{ZOOMED}<div>{VIDEO} src=/short.mp4></video></div>", FILE),
    "tiny": Case(f"{VIDEO}></video>" + blob("/tiny.mp4")),
    "late": Case(f"{VIDEO}></video>" + blob("/late.mp4"), first_seconds=1.0),
    # which one is meant
    "reels": Case(REELS.format("".join(map(POST.format, ("fake", "no-face", "fake")))), "/vertical-fake.mp4"),
    "stacked": Case(STACKED, "/no-face.mp4"),
    "poster": Case(POSTER, FILE),
    "panel": Case(PANEL, FILE),
    "hero": Case(HERO, FILE),
    # where it lies
    "srcdoc": Case(f"<iframe width=600 height=500 srcdoc='{SRCDOC}'></iframe>", is_listed=True),
    "sandboxed": Case(SANDBOXED, FILE, is_listed=True),
    "shadow-dialog": Case(SHADOW_DIALOG, FILE, shadows=("outer-player",)),
    "dialog-later": Case(DIALOG_LATER, FILE, after="!!document.querySelector('dialog[open] [popover]')"),
    "popover": Case(POPOVER, FILE, after="document.querySelector('div').matches(':popover-open')"),
    "keeping": Case(KEEPING, FILE, after="!!document.querySelector('section')"),
    "form": Case(FORM, FILE),
    "inert": Case(f"<div inert>{VIDEO} src=/short.mp4></video></div>", FILE),
    "xhtml": Case(XHTML, FILE, kind="application/xhtml+xml"),
    "svg": Case(SVG, FILE, kind="image/svg+xml"),
    "object": Case("<object data=/short.mp4 type=video/mp4 width=480 height=360></object>", FILE, is_listed=True),
    # what the page does
    "stopping": Case(f"{VIDEO} src=/short.mp4></video>{STOPPING}", FILE),
    "stopping-all": Case(f"{VIDEO} src=/short.mp4></video>{PREVENTING}{STOPPING}", FILE),
    "prevented": Case(f"{VIDEO} src=/short.mp4></video>{PREVENTED}", FILE),
    "prevented-stopping": Case(f"{VIDEO} src=/short.mp4></video>{PREVENTED}{STOPPING}", FILE),
    "prevented-all": Case(f"{VIDEO} src=/short.mp4></video>{PREVENTING}{PREVENTED}{STOPPING}", FILE),
    "glass": Case(f"{VIDEO} src=/short.mp4></video>{GLASS}", FILE, after="window.isOver"),
    "styled": Case(f"{VIDEO} src=/short.mp4></video>{STYLED}", FILE),
    "sandbox": Case(
        f"{VIDEO} src=/short.mp4></video>", FILE, headers={"Content-Security-Policy": "sandbox allow-scripts"}
    ),
    "strict": Case("<video controls muted src=/short.mp4></video>", FILE, headers={"Content-Security-Policy": STRICT}),
    "isolated": Case(f"{VIDEO} src=/short.mp4></video>", FILE, headers=ISOLATED),
    "closing": Case(f"{VIDEO} src=/short.mp4></video>{CLOSING}", FILE, after="window.closed_ones > 0"),
    "overridden": Case(f"{VIDEO}></video>{blob()}{OVERRIDDEN}", is_listed=True),
    "never": Case(NEVER, FILE, after="window.isThere"),
    "growing": Case(LIVE.replace("LENGTH", GROWING).replace("FROM", "100"), first_seconds=100),
    "endless": Case(LIVE.replace("LENGTH", "source.duration = 2 ** 32").replace("FROM", "0"), after=PUT_BACK),
    "worker": Case(f"{VIDEO}></video>{WORKER}", needs="MediaSource.canConstructInDedicatedWorker"),
    "undone-seeks": Case(f"{VIDEO}></video>{blob('/twenty-seconds.mp4')}{UNDONE_SEEKS}"),
    "ended": Case(f"{VIDEO}></video>{blob()}{ENDED}", after="document.querySelector('video').src.startsWith('blob:')"),
    "encrypted": Case(f"{VIDEO}></video>{ENCRYPTED}", badge="Could not check", detail="protected against copying"),
}


def unusual_routes() -> dict[str, Answer]:
    """Make the pages, and the files that they play."""
    fake, none = ((EXAMPLES / f"{name}.mp4").read_bytes() for name in ("blended-face", "no-face"))
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": KEY, "encryption_kid": KEY_ID}
    (fragmented, codec), (encrypted, _) = fragment(fake), fragment(fake, **scheme)
    shown = pictures(fake)
    files = {
        "/turned.mp4": map(np.rot90, shown),
        "/upside-down.mp4": (one[::-1, ::-1] for one in shown),
        "/vertical-fake.mp4": (one[:, 105:375] for one in shown),
        "/vertical-no-face.mp4": (one[:, 105:375] for one in pictures(none)),
        "/tiny.mp4": shown[:5],
        "/twenty-seconds.mp4": shown * 5,
    }
    routes: dict[str, Answer] = {path: media(encoded(frames)) for path, frames in files.items()}
    ticks = {"video_track_timescale": "1000"}  # Firefox takes those of the file for those of the track
    late = encoded(shown[RATE:], pts=RATE.__add__, options={"bf": "0"}, container_options=ticks, sound=True)
    many = "<video muted width=160 height=120 src=/short.mp4></video>" * 50 + "<p><span>a</span></p>" * 10_000
    routes |= {
        "/many": html(many),
        "/short.mp4": media(fake),
        "/no-face.mp4": media(none),
        "/late.mp4": media(late),
        "/fragmented.mp4": media(fragmented),
        "/fragmented-no-face.mp4": media(fragment(none)[0]),
        "/fragmented-longer.mp4": media(fragment(encoded(pictures(none) * 2))[0]),
        "/encrypted.mp4": media(encrypted),
        "/never": begun("<!doctype html><p>An advertisement"),
        "/face.jpg": content((EXAMPLES / "blended-face.jpg").read_bytes(), "image/jpeg"),
    }
    for file in (file for name in FOLDERS for file in (MODULES / name).rglob("*")):
        if file.suffix in KINDS:
            text = file.read_bytes().replace(OUTSIDE, b"")
            routes[f"/modules/{file.relative_to(MODULES)}"] = content(text, KINDS[file.suffix])
    bare = {"/again": AGAIN, "/speakers": SPEAKERS, "/reused": REUSED, "/swapped": SWAPPED}
    routes |= {path: html(body.replace("VIDEO", VIDEO).replace("CODEC", codec)) for path, body in bare.items()}
    return routes | {f"/case/{name}": page(name, case, codec) for name, case in CASES.items()}


def page(name: str, case: Case, codec: str) -> Answer:
    text = case.body.replace("CODEC", codec).replace("KEY_ID", KEY_ID).replace("KEY", KEY).replace("VIDEO", VIDEO)
    if "xml" not in case.kind:
        text = f"<!doctype html><html><head><title>{name}</title></head><body>{text}</body></html>"
    return lambda handler: handler.give(text.encode(), case.kind, headers=case.headers)
