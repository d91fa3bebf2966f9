"""Pages with the players that sites use, from the npm registry, each with its clips as a stream.

/player/NAME?clips=blended-face,no-face: a player for each clip; in the page, load(place, clip) loads another clip
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.sites import FACE
from tests.media import EXAMPLES, make, repeat
from tests.servers import Answer, content, dash_routes, hls_routes, html, media, split_hls

MODULES = Path(__file__).resolve().parents[1] / "node_modules"
CLIPS = ("blended-face", "photograph", "no-face")
FILES = {
    "hls.js": "hls.js/dist/hls.min.js",
    "dash.js": "dashjs/dist/modern/umd/dash.all.min.js",
    "video.js": "video.js/dist/video.min.js",
    "video.css": "video.js/dist/video-js.min.css",
    "shaka.js": "shaka-player/dist/shaka-player.compiled.js",
    "plyr.js": "plyr/dist/plyr.min.js",
    "plyr.css": "plyr/dist/plyr.css",
    "plyr.svg": "plyr/dist/plyr.svg",
}
HLS, DASH = "/stream/${clip}/hls/master.m3u8", "/stream/${clip}/dash/index.mpd"
# what they load, and how: `player` is what they returned for the element before, if anything
PLAYERS = {
    "hls.js": (
        ["hls.js"],
        "player?.destroy(); player = new Hls(); player.loadSource(`HLS`); player.attachMedia(video); return player;",
    ),
    "dash.js": (
        ["dash.js"],
        """if (player) return player.attachSource(`DASH`), player;
        player = dashjs.MediaPlayer().create(); player.initialize(video, `DASH`, false); return player;""",
    ),
    "video.js": (
        ["video.js", "video.css"],
        """player ??= videojs(video, { controls: true, width: 480, html5: { vhs: { overrideNative: true } } });
        player.src({ src: `HLS`, type: "application/x-mpegURL" }); return player;""",
    ),
    "shaka": (
        ["shaka.js"],
        """if (!player) { player = new shaka.Player(); await player.attach(video); }
        await player.load(`DASH`); return player;""",
    ),
    "plyr": (
        ["plyr.js", "plyr.css", "hls.js"],
        """const options = { iconUrl: "/players/plyr.svg", blankVideo: "" };
        player ??= { plyr: new Plyr(video, options) }; player.hls?.destroy();
        player.hls = new Hls(); player.hls.loadSource(`HLS`); player.hls.attachMedia(video); return player;""",
    ),
}
PAGE = """<style>body { margin: 8px } .place { width: 480px } video { width: 480px }</style>HEAD<main></main><script>
const attach = async (video, clip, player) => { ATTACH };
const players = [];
async function load(place, clip) {
  const main = document.querySelector("main");
  if (!main.children[place]) {
    const holder = Object.assign(document.createElement("div"), { className: "place" });
    holder.innerHTML = "<video muted playsinline controls class='video-js'></video>";
    main.append(holder);
  }
  const video = main.children[place].querySelector("video");
  players[place] = await attach(video, clip, players[place]);
}
new URLSearchParams(location.search).get("clips").split(",").forEach((clip, place) => load(place, clip));
</script>"""


def player_routes() -> dict[str, Answer]:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    routes: dict[str, Answer] = {
        f"/players/{name}": content((MODULES / path).read_bytes(), kinds[Path(name).suffix])
        for name, path in FILES.items()
    }
    for clip in CLIPS:
        data = (EXAMPLES / f"{clip}.mp4").read_bytes()
        routes |= hls_routes(split_hls(data), f"/stream/{clip}/hls/")
        routes |= dash_routes(data, f"/stream/{clip}/dash/")
    for name, (files, attach) in PLAYERS.items():
        head = "".join(
            f"<link rel=stylesheet href=/players/{file}>"
            if file.endswith("css")
            else f"<script src=/players/{file}></script>"
            for file in files
        )
        script = attach.replace("HLS", HLS).replace("DASH", DASH)
        routes[f"/player/{name}"] = html(PAGE.replace("HEAD", head).replace("ATTACH", script), name)
    return routes | bare_routes()


SIGHT = '<video controls style="width: 480px; height: 360px"'  # with sound, as people have it
REMOVING = """<script>
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes) if (node.localName !== "body") node.remove();
}).observe(document.documentElement, { childList: true });
</script>"""
ZOOM = "<style>html { zoom: 1.5 } body { margin: 60px }</style>"
LOADING_ANEW = """<script>
const video = document.querySelector("video");
video.addEventListener("play", () => { video.load(); video.play().catch(() => {}); }, { once: true });
</script>"""
ADVERTISEMENT = """<script>
fetch("/stream/no-face/hls/master.m3u8"); // that of the page's own video
fetch("/long.mp4").then((given) => given.blob()).then((blob) => {
  document.querySelector("video").src = URL.createObjectURL(blob);
});
</script>"""
# the picture of one side goes through a real connection to the other, and is shown there beside one's own
CALL = f"""<img src=/face.jpg hidden>
<video muted autoplay style="width: 120px; height: 90px; transform: scaleX(-1)"></video>
{SIGHT} autoplay></video><script>
const picture = document.querySelector("img");
picture.onload = async () => {{
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  [canvas.width, canvas.height] = [480, 360];
  setInterval(() => pen.drawImage(picture, 2 * Math.sin(Date.now() / 300), 0, 480, 360), 40);
  const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
  here.onicecandidate = ({{ candidate }}) => there.addIceCandidate(candidate);
  there.onicecandidate = ({{ candidate }}) => here.addIceCandidate(candidate);
  const [own, other] = document.querySelectorAll("video");
  there.ontrack = ({{ streams }}) => (other.srcObject = streams[0]);
  const stream = (own.srcObject = canvas.captureStream(25));
  here.addTrack(stream.getVideoTracks()[0], stream);
  await here.setLocalDescription();
  await there.setRemoteDescription(here.localDescription);
  await there.setLocalDescription();
  await here.setRemoteDescription(there.localDescription);
}};
</script>"""
OPEN = "<script>document.querySelector('dialog').showModal()</script>"
BACKGROUND = f"""<div style="position: fixed; inset: 0; z-index: -1; opacity: 0.6">
<video autoplay loop muted style="width: 100%; height: 100%; object-fit: cover"></video></div>
<script>document.querySelector("video").src = `http://localhost:${{location.port}}/long.mp4`</script>
<h1>A headline over a film that only decorates the page</h1>{SIGHT} src=/short.mp4></video>"""
CANVAS = """<canvas width=480 height=360></canvas><script>
const pen = document.querySelector("canvas").getContext("2d");
setInterval(() => pen.fillRect(480 * Math.random(), 0, 2, 360), 40);
</script>"""


def bare_routes() -> dict[str, Answer]:
    """Make pages whose <video> has nothing to show, not yet, or only sound."""
    with TemporaryDirectory() as folder:
        sound, once = (make(name, Path(folder)) for name in ("audio-only.mp4", "no-face.mp4"))
        repeat(once, Path(folder, "long.mp4"), 20)  # a minute
        files = {"/sound.mp4": media(sound.read_bytes()), "/long.mp4": media(Path(folder, "long.mp4").read_bytes())}
    return files | {
        "/face.jpg": content(FACE, "image/jpeg"),
        "/short.mp4": media((EXAMPLES / "blended-face.mp4").read_bytes()),
        "/no-source": html(f"{SIGHT}></video>"),
        "/missing": html(f"{SIGHT} src=/gone.mp4></video>"),
        "/sound": html(f"{SIGHT} src=/sound.mp4></video>"),
        "/canvas": html(CANVAS),
        "/removing": html(f"{SIGHT} muted src=/short.mp4></video>" + REMOVING),
        "/advertised": html(f"{SIGHT} muted></video>" + ADVERTISEMENT),
        "/foreign-file": html(f"{SIGHT} crossorigin src=http://localhost:9/clip.mp4></video>"),
        "/call": html(CALL),
        "/background": html(BACKGROUND),
        "/favicon.ico": content(b"", "image/x-icon"),  # without it a console has an error
        "/zoomed": html(f"{ZOOM}{SIGHT} muted src=/short.mp4></video>"),
        "/small": html("<video controls muted width=200 height=112 src=/short.mp4></video>"),
        "/dialog": html(f"<dialog>{SIGHT} muted src=/short.mp4></video></dialog>{OPEN}"),
        "/scrolled": html(f"<body style='height: 4000px'>{SIGHT} muted loop src=/short.mp4></video>"),
        "/unplayed": html(f"{SIGHT} preload=none src=/long.mp4></video>" + LOADING_ANEW),
    }
