// Everything that the pages do in the browser. Without it, they show the same and stand still.
"use strict";

const themes = ["auto", "light", "dark"];
const memory = {
  get(name) { try { return localStorage.getItem("sheaf-" + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("sheaf-" + name, value); } catch { /* not kept */ } },
};

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
document.documentElement.classList.add("script");
applyTheme(themes.includes(memory.get("theme")) ? memory.get("theme") : "auto");

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- Updating in place

/** Whether the reader points at an element, has the focus in it or has selected text of it. */
function isInUse(element) {
  if (element.matches(":hover") || (element !== document.body && element.contains(document.activeElement))) return true;
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

/** Attributes that belong to the reader, not to the server. */
const kept = new Set(["open", "value", "disabled", "hidden"]);

function patchAttributes(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) {
    if (!kept.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!kept.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}

const isSame = (a, b) =>
  a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.dataset?.key ?? null) === (b.dataset?.key ?? null);

/** Makes an element like a fresh one. Texts and widths change; nothing that the reader uses is moved or replaced. */
function patch(old, fresh) {
  patchAttributes(old, fresh);
  if (old.hasAttribute("data-rows")) return patchRows(old, fresh);
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  if (before.length === after.length && before.every((node, place) => isSame(node, after[place]))) {
    before.forEach((node, place) => {
      if (node.nodeType === Node.TEXT_NODE) {
        if (node.data !== after[place].data) node.data = after[place].data;
      } else if (node.nodeType === Node.ELEMENT_NODE) patch(node, after[place]);
    });
  } else if (before.length === 0 || !isInUse(old)) {
    old.replaceChildren(...after);
    relativeTimes(old);
  } else {
    // Something came or went where the reader is: for now only what is still there is updated.
    follower.isBehind = true;
    const left = [...after];
    for (const node of before) {
      const place = left.findIndex((other) => isSame(node, other));
      if (place < 0) continue;
      const [other] = left.splice(0, place + 1).slice(-1);
      if (node.nodeType === Node.TEXT_NODE) node.data = other.data;
      else if (node.nodeType === Node.ELEMENT_NODE) patch(node, other);
    }
  }
}

/** Runs changes, and scrolls so that what the reader points at or has the focus in stays where it is. */
function holdingStill(change) {
  const focused = document.activeElement?.matches("body, main") === false ? document.activeElement : null;
  const held = focused ?? [...document.querySelectorAll("main :hover")].pop();
  const before = held?.getBoundingClientRect().top;
  change();
  const after = held?.isConnected ? held.getBoundingClientRect().top : before;
  if (after !== before) scrollBy({ top: after - before, behavior: "instant" });
}

/** Updates keyed rows; new ones come in only while the reader is elsewhere. */
function patchRows(old, fresh) {
  const known = new Map([...old.children].map((row) => [row.dataset.key, row]));
  const rows = [...fresh.children];
  for (const row of rows) {
    const present = known.get(row.dataset.key);
    if (present) patch(present, row);
  }
  const isSameOrder = rows.length === known.size && rows.every((row, place) => old.children[place]?.dataset.key === row.dataset.key);
  const arrivals = find("[data-arrivals]");
  if (isSameOrder) {
    if (arrivals) arrivals.hidden = true;
    return;
  }
  const added = rows.filter((row) => !known.has(row.dataset.key)).length;
  const apply = () => {
    const order = rows.map((row) => known.get(row.dataset.key) ?? (row.classList.add("fresh"), row));
    old.replaceChildren(...order);
    relativeTimes(old);
    if (arrivals) arrivals.hidden = true;
  };
  const isReadFurtherDown = arrivals && scrollY > 200;
  if (!isInUse(old.closest(".panel") ?? old) && !isReadFurtherDown) return apply();
  follower.isBehind = true;
  if (arrivals && added > 0) {
    arrivals.hidden = false;
    const button = find("button", arrivals);
    button.textContent = added === 1 ? "Show 1 new batch" : `Show ${added} new batches`;
    button.onclick = apply;
  }
}

/** Brings relative times up to date and shows the exact ones in the reader's own zone. */
function relativeTimes(within = document) {
  for (const time of all("time[datetime]", within)) {
    const then = new Date(time.dateTime);
    if (isNaN(then)) continue;
    const exact = then.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    if (time.title !== exact) time.title = exact;
    const minutes = Math.floor((Date.now() - then) / 60000);
    const hours = Math.floor(minutes / 60);
    const text = minutes < 1 ? "just now"
      : minutes < 60 ? `${minutes} min ago`
      : hours < 24 ? `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""} ago`
      : `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ""} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

// ---- Following the server

const follower = {
  source: null, timer: null, isPaused: false, isLoading: false, wantsAgain: false, last: 0, failures: 0, spoke: 0,
  /** Whether the page lacks something of the last answer, because the reader was in the way. */
  isBehind: false,

  start() {
    const { events, interval } = document.body.dataset;
    if (!interval) return;
    this.events = events;
    this.interval = Number(interval) * 1000;
    const hold = find("#hold");
    hold.hidden = find("#live").hidden = false;
    hold.addEventListener("click", () => this.hold(!this.isPaused));
    document.addEventListener("visibilitychange", () => this.listen());
    addEventListener("storage", (event) => { if (event.key === "sheaf-paused") this.hold(event.newValue === "yes"); });
    this.hold(memory.get("paused") === "yes");
  },

  hold(isPaused) {
    this.isPaused = isPaused;
    memory.set("paused", isPaused ? "yes" : "no");
    find("#hold").setAttribute("aria-pressed", String(isPaused));
    find("#hold-word").textContent = isPaused ? "Resume updates" : "Pause updates";
    find("#hold-icon").setAttribute("href", isPaused ? "#i-play" : "#i-pause");
    this.listen();
    if (!isPaused) this.soon();
  },

  /** Opens the stream of events, or polls if there is none; a hidden or paused page does neither. */
  listen() {
    this.source?.close();
    this.source = null;
    clearInterval(this.timer);
    if (this.isPaused || document.hidden) return this.show(this.isPaused ? "paused" : "live");
    this.show("live");
    if (this.events && this.failures < 3) {
      this.source = new EventSource(this.events);
      this.source.onopen = () => { this.failures = 0; this.show("live"); };
      for (const name of ["message", "batch", "change", "snapshot", "deleted", "question", "end"]) {
        this.source.addEventListener(name, () => this.soon());
      }
      this.source.onerror = () => {
        this.failures += 1;
        if (this.source?.readyState === EventSource.CLOSED || this.failures >= 3) { this.failures = 3; this.listen(); }
      };
      // Workers and rates change without an event.
      this.timer = setInterval(() => this.soon(), Math.max(this.interval, 5000));
    } else {
      this.timer = setInterval(() => this.soon(), this.interval);
    }
    this.soon();
  },

  /** Loads the page again, at most once a second. */
  soon() {
    if (this.isPaused || document.hidden) return;
    if (this.isLoading) { this.wantsAgain = true; return; }
    const wait = Math.max(0, this.last + 1000 - Date.now());
    this.isLoading = true;
    setTimeout(() => this.load(), wait);
  },

  async load() {
    this.last = Date.now();
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html", "x-sheaf-live": "1" }, cache: "no-cache" });
      if (response.status === 401 || response.redirected) { location.reload(); return; }
      if (!response.ok && response.status !== 404) throw new Error(String(response.status));
      const text = await response.text();
      if (!this.isPaused && (text !== this.text || this.isBehind)) {
        this.text = text;
        this.isBehind = false;
        holdingStill(() => this.apply(text));
      }
      this.show("live");
    } catch {
      this.show("lost");
    } finally {
      this.isLoading = false;
      if (this.wantsAgain) { this.wantsAgain = false; this.soon(); }
    }
  },

  apply(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const [old, next] = [all("[data-live]"), all("[data-live]", fresh)];
    old.forEach((element, place) => next[place] && patch(element, document.adoptNode(next[place])));
    document.title = fresh.title;
    relativeTimes();
    this.speak();
  },

  /** Tells screen readers how a batch stands, at most every ten seconds. */
  speak() {
    const text = find("[data-spoken]")?.dataset.spoken;
    if (!text || Date.now() - this.spoke < 10000 || find("#spoken").textContent === text) return;
    this.spoke = Date.now();
    find("#spoken").textContent = text;
  },

  show(state) {
    const live = find("#live");
    if (!live) return;
    if (this.isPaused) state = "paused";
    live.className = "live" + (state === "paused" ? " off" : state === "lost" ? " lost" : "");
    find("#live-word").textContent = state === "lost" ? "no connection, trying again" : state;
  },
};

// ---- Acting

let toastTimer;
function toast(text) {
  const toast = find("#toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, 5000);
}

/** Returns the words of a problem that the server reported. */
async function problem(response) {
  try {
    const body = await response.json();
    return [body.detail ?? body.title, body.next].filter(Boolean).join("\n");
  } catch {
    return `The server answered ${response.status} ${response.statusText}.`;
  }
}

async function post(address, body, method = "POST") {
  try {
    const response = await fetch(address, {
      method, headers: { "content-type": "application/json", accept: "application/json" }, body: body ?? "{}",
    });
    return response.ok ? null : await problem(response);
  } catch {
    return "The server cannot be reached. Nothing is known to have changed.";
  }
}

/** Asks for a confirmation that repeats the numbers, and then acts. */
function confirmAction(button) {
  const { action, method, body, question, text, name } = button.dataset;
  const dialog = find("#confirm");
  const yes = find("#confirm-yes");
  const trouble = find("#confirm-problem");
  find("#confirm-question").textContent = question;
  find("#confirm-text").textContent = text;
  trouble.hidden = true;
  yes.textContent = name;
  yes.disabled = false;
  yes.className = button.classList.contains("danger") ? "primary danger" : "primary";
  yes.onclick = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    const failure = await post(action, body, method);
    yes.disabled = false;
    if (failure) {
      trouble.textContent = failure;
      trouble.hidden = false;
      return;
    }
    dialog.close("yes");
    toast(`${name.replace(/ \(.*/, "")}: done`);
    follower.soon();
    if (!document.body.dataset.interval || follower.isPaused) location.reload();
  };
  dialog.showModal();
  find("#confirm-no").focus();
}

/** Copies text, also over plain http, where browsers have no clipboard for scripts. */
async function copy(text, button) {
  let isCopied = false;
  try {
    await navigator.clipboard.writeText(text);
    isCopied = true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    isCopied = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const use = find("use", button);
  use.setAttribute("href", isCopied ? "#i-done" : "#i-fail");
  button.classList.toggle("done", isCopied);
  toast(isCopied ? "Copied" : "The browser does not let this page copy");
  setTimeout(() => { use.setAttribute("href", "#i-copy"); button.classList.remove("done"); }, 1500);
}

async function answer(form, value) {
  const trouble = find(".problem", form);
  const buttons = all("button", form);
  for (const button of buttons) button.disabled = true;
  const failure = await post(form.dataset.answer, JSON.stringify({ answer: value, number: Number(form.dataset.number) }));
  for (const button of buttons) button.disabled = false;
  trouble.hidden = !failure;
  trouble.textContent = failure ?? "";
  if (failure) return;
  form.closest("[data-key]").remove();
  find("#content").focus();
  toast("Answered");
  follower.soon();
}

// ---- Creating

function prepareCreation(form) {
  const button = find("button.primary", form);
  const drop = find(".drop", form);
  const file = find("input[type=file]", form);
  button.disabled = false;
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) file.files = event.dataTransfer.files;
  });
  // One key for one form: if the answer is lost, sending it again creates no second batch.
  let key = randomKey();
  form.addEventListener("change", () => { key = randomKey(); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    create(form, button, key);
  });
}

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Sends the form with its file last, so that the server knows the options before the first record. */
function create(form, button, key) {
  const trouble = find(".problem", form);
  const [bar, word] = [find("progress", form), find("[data-upload]", form)];
  const given = new FormData(form);
  const sent = new FormData();
  for (const [name, value] of given) {
    if (typeof value !== "string" || value.trim() === "" || name === "tags") continue;
    sent.append(name, value.trim());
  }
  if (!given.has("shuffle")) sent.append("shuffle", "false");
  for (const tag of (given.get("tags") ?? "").split(/\s+/).filter(Boolean)) sent.append("tag", tag);
  sent.append("file", given.get("file"));
  trouble.hidden = true;
  button.disabled = true;
  bar.hidden = false;
  // Only XMLHttpRequest reports how much of a body is sent.
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("accept", "application/json");
  request.setRequestHeader("idempotency-key", key);
  request.upload.onprogress = (event) => {
    if (!event.lengthComputable) return;
    bar.value = (event.loaded / event.total) * 100;
    word.textContent = event.loaded < event.total ? `${Math.floor(bar.value)} % sent` : "sent; the server publishes the tasks";
  };
  const fail = (text) => {
    trouble.textContent = text;
    trouble.hidden = false;
    button.disabled = false;
    bar.hidden = true;
    word.textContent = "";
  };
  request.onerror = () => fail("The connection broke. Send it again: the same form creates only one batch.");
  request.onload = () => {
    let body = {};
    try { body = JSON.parse(request.responseText); } catch { /* not JSON */ }
    if (request.status < 200 || request.status >= 300) {
      return fail([body.detail ?? `The server answered ${request.status}.`, body.next].filter(Boolean).join("\n"));
    }
    location.assign(form.dataset.create + encodeURIComponent(body.batch_id));
  };
  request.send(sent);
}

// ---- The page

document.addEventListener("DOMContentLoaded", () => {
  const button = find("#theme");
  const showTheme = () => {
    const theme = document.documentElement.dataset.theme ?? "auto";
    find("#theme-icon").setAttribute("href", `#i-${theme}`);
    button.setAttribute("aria-label", `Colours: ${theme === "auto" ? "as the system" : theme}`);
    button.title = button.getAttribute("aria-label");
  };
  button.hidden = false;
  showTheme();
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % themes.length];
    memory.set("theme", next);
    applyTheme(next);
    showTheme();
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button");
    if (!target) return;
    if (target.dataset.action) confirmAction(target);
    else if (target.hasAttribute("data-copy")) copy(find("code", target.parentElement).textContent, target);
    else if (target.hasAttribute("data-copy-text")) copy(target.dataset.copyText, target);
    else if (target.hasAttribute("data-copy-code")) copy(find("pre", target.closest(".code")).textContent, target);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.answer) return;
    event.preventDefault();
    answer(form, event.submitter?.name === "answer" ? event.submitter.value : find("input[name=answer]", form)?.value ?? "");
  });

  const creation = find("form[data-create]");
  if (creation) prepareCreation(creation);
  relativeTimes();
  setInterval(relativeTimes, 15000);
  follower.start();
});
