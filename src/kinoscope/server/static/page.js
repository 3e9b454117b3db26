// What the page does beyond links and forms: previews, the player, dropped clips, progress.
"use strict";

const one = (selector, inside = document) => inside.querySelector(selector);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function tell(text) {
  const told = one("#told");
  if (told) told.textContent = text;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) location.assign("/login");
  const body = await answer.json().catch(() => null);
  throw new Error(body?.error?.message ?? `The server refused (${answer.status}).`);
}

// --- posters: a moment plays, muted, while it is pointed at or focused

const still = matchMedia("(prefers-reduced-motion: reduce)");

function previews(hit) {
  const poster = one(".poster", hit);
  if (!hit.dataset.media) return;
  const [start, end] = [Number(hit.dataset.start), Number(hit.dataset.end)];
  let video = null, waiting = 0;

  function begin() {
    if (still.matches || video || waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      video = document.createElement("video");
      Object.assign(video, { muted: true, playsInline: true, loop: true, tabIndex: -1 });
      video.setAttribute("aria-hidden", "true");
      const plain = hit.dataset.playable === "true";
      video.src = plain ? `${hit.dataset.media}#t=${start},${end}` : hit.dataset.preview;
      video.onerror = () => { if (video) { video.onerror = null; video.src = hit.dataset.preview; } };
      video.ontimeupdate = () => { if (plain && video && video.currentTime >= end) video.currentTime = start; };
      one("img", poster).after(video);
      video.play().catch(() => {});
    }, 250);
  }

  function finish() {
    clearTimeout(waiting);
    waiting = 0;
    if (!video) return;
    const gone = video;
    video = null;
    gone.removeAttribute("src");
    gone.load();
    gone.remove();
  }

  poster.addEventListener("pointerenter", begin);
  poster.addEventListener("pointerleave", finish);
  poster.addEventListener("focus", begin);
  poster.addEventListener("blur", finish);
}

// --- the player: opens at the moment, loops it, and jumps where the strip is clicked

class Player {
  constructor(root) {
    this.root = root;
    this.video = one("video", root);
    const told = root.dataset;
    this.id = told.video;
    [this.start, this.end] = [Number(told.start), Number(told.end)];
    [this.duration, this.longest] = [Number(told.duration), Number(told.longest)];
    this.base = told.playable === "true" ? 0 : this.start; // where the file that plays begins
    this.until = told.playable === "true" ? Infinity : Math.min(this.end, this.start + this.longest);
    this.looping = true;
    this.strip = one(".strip", root);
    this.button = one(".loop", root);
    this.video.addEventListener("error", () => this.failed());
    this.video.addEventListener("timeupdate", () => this.moved());
    this.video.addEventListener("ended", () => { if (this.looping) this.jump(this.start); });
    this.video.addEventListener("loadedmetadata", () => {
      if (!this.base && this.video.currentTime < this.start) this.video.currentTime = this.start;
      if (!this.video.videoWidth) this.failed(); // sound alone: the codec is unknown here
    });
    this.button.addEventListener("click", () => this.loop(!this.looping));
    for (const link of all(".jump", root)) link.addEventListener("click", (event) => this.choose(event, link));
    if (this.strip) this.listen();
  }

  get now() { return this.base + this.video.currentTime; }

  say(text) { one(".status", this.root).textContent = text; }

  listen() {
    this.strip.addEventListener("click", (event) => {
      const box = this.strip.getBoundingClientRect();
      this.leave(((event.clientX - box.left) / box.width) * this.duration);
    });
    this.strip.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
      const ends = { Home: 0, End: this.duration - 0.5 };
      if (event.key in steps) this.leave(this.now + steps[event.key]);
      else if (event.key in ends) this.leave(ends[event.key]);
      else return;
      event.preventDefault();
    });
  }

  leave(time) { // somewhere else than in the moment: it is not looped then
    if (time < this.start || time >= this.end) this.loop(false);
    this.jump(time);
  }

  jump(time) {
    time = Math.max(0, Math.min(time, this.duration - 0.05));
    if (time < this.base || time > this.until) this.preview(time, Math.min(this.duration, time + 30));
    else this.video.currentTime = time - this.base;
    this.play();
  }

  play() { this.video.play().catch(() => {}); }

  loop(on) {
    this.looping = on;
    this.button.setAttribute("aria-pressed", String(on));
    if (on && (this.now < this.start || this.now >= this.end)) this.jump(this.start);
  }

  choose(event, link) {
    event.preventDefault();
    [this.start, this.end] = [Number(link.dataset.start), Number(link.dataset.end)];
    this.button.textContent = `Loop ${clock(this.start)} to ${clock(this.end)}`;
    const looped = this.strip && one(".looped", this.strip), part = 1000 / this.duration;
    looped?.setAttribute("x", String(this.start * part));
    looped?.setAttribute("width", String((this.end - this.start) * part));
    this.loop(true);
    this.jump(this.start);
  }

  moved() {
    const now = this.now;
    if (this.looping && now >= this.end) this.jump(this.start);
    if (!this.strip) return;
    one(".now", this.strip).setAttribute("x", String((now / this.duration) * 1000));
    this.strip.setAttribute("aria-valuenow", now.toFixed(1));
    this.strip.setAttribute("aria-valuetext", clock(now));
  }

  failed() {
    if (this.previewing) this.say("This moment cannot be shown: neither the file nor a preview plays.");
    else this.preview(this.start, Math.min(this.end, this.start + this.longest));
  }

  preview(start, end) { // what the browser cannot play is encoded anew, as much as is asked for
    this.say("Making a preview…");
    this.previewing = true;
    [this.base, this.until] = [start, end];
    this.video.addEventListener("loadeddata", () => this.say("Shown as a preview without sound."), { once: true });
    this.video.src = `/api/videos/${this.id}/preview?start=${start.toFixed(3)}&end=${end.toFixed(3)}`;
    this.play();
  }
}

function dialogs() {
  const dialog = one("#player"), inside = one("#inside");
  if (!dialog) return;
  for (const link of all(".poster, .others a, .answers a")) {
    link.addEventListener("click", async (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      try {
        const page = await ask(`${link.getAttribute("href")}&part=1`.replace(/^([^?]*)&/, "$1?"));
        inside.innerHTML = await page.text(); // the server's own template: all in it is escaped
      } catch (error) {
        tell(error.message);
        return;
      }
      one("#playing").textContent = one("video", inside).getAttribute("aria-label");
      dialog.showModal();
      new Player(one(".player", inside)).play();
    });
  }
  one("#close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    const video = one("video", inside);
    if (video) { video.removeAttribute("src"); video.load(); }
    inside.replaceChildren();
  });
}

// --- more like a clip that is dropped, pasted or chosen

async function upload(file) {
  tell(`Uploading ${file.name}…`);
  const form = new FormData();
  form.append("file", file);
  try {
    const kept = await (await ask("/api/uploads", { method: "POST", body: form })).json();
    const address = new URL(location.href);
    address.pathname = "/";
    address.searchParams.set("q", one("#q").value);
    address.searchParams.append("like", kept.id);
    location.assign(address);
  } catch (error) {
    tell(error.message);
  }
}

function uploads() {
  const chosen = one("#file");
  if (!chosen) return;
  chosen.addEventListener("change", () => { if (chosen.files[0]) upload(chosen.files[0]); });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => { if (event.clipboardData.files[0]) upload(event.clipboardData.files[0]); });
}

// --- indexing: its progress, and that there is something new

function follow() {
  const bar = one("#indexing"), index = one("#results")?.dataset.index;
  if (!bar) return;
  let events = null;

  function show(status) {
    const running = status.state === "running";
    if (status.state !== "idle") bar.hidden = false;
    bar.dataset.state = status.state;
    const left = status.eta_s === null ? "" : `, ${clock(status.eta_s)} left`;
    const failed = status.failed ? `, ${status.failed} failed` : "";
    const stage = { identify: "Reading new files", decode: "Watching" }[status.stage] ?? "Looking at folders";
    one("p", bar).textContent = running
      ? `${stage}: ${status.files_done} of ${status.files_total}${failed}${left}` : status.message;
    one("progress", bar).hidden = one("#stop").hidden = !running;
    one("progress", bar).max = Math.max(1, status.files_total);
    one("progress", bar).value = status.files_done;
    if (index && status.index !== index) one("#changed").hidden = false;
  }

  function listen() {
    if (document.hidden) { events?.close(); events = null; return; }
    if (events) return;
    events = new EventSource("/api/indexing/events"); // it comes back by itself after a restart
    events.onmessage = (event) => show(JSON.parse(event.data));
  }

  async function send(method, path, body) {
    try {
      const options = { method, headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) };
      await ask(path, options);
    } catch (error) {
      bar.hidden = false;
      one("p", bar).textContent = error.message;
    }
  }

  document.addEventListener("visibilitychange", listen);
  listen();
  one("#stop").addEventListener("click", () => send("DELETE", "/api/indexing"));
  one("#add")?.addEventListener("submit", (event) => {
    event.preventDefault();
    send("POST", "/api/videos", { folder: one("#folder").value });
  });
  one("#again")?.addEventListener("click", () => send("POST", "/api/videos", {}));
}

// `/` goes to the search box, as in many pages
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, textarea, dialog")) {
    event.preventDefault();
    one("#q")?.focus();
  }
});

// also fields that stand elsewhere on the page, such as the question
const fields = () => [...(one("#search")?.elements ?? [])].filter((field) => field.matches("input, select"));

one("#search")?.addEventListener("submit", () => {
  for (const field of fields()) if (!field.value) field.disabled = true; // short addresses
});
addEventListener("pageshow", () => { // a page that comes back is whole again
  for (const field of fields()) field.disabled = field.hasAttribute("data-off");
});
all(".hit").forEach(previews);
all("main > .player").forEach((root) => new Player(root));
dialogs();
uploads();
follow();
