"""Drives the dashboard in Chromium over the DevTools protocol: browser.py BASE FOLDER

BASE is the URL of a server that has the flows `work` (fails for records with "bad"; takes a while) and `asker` (asks a
question), with workers for both. FOLDER has records.jsonl, in which some records are bad, and slow.jsonl.
Prints one line for each step; ends with 1 and a reason if the page is not as it should be.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import websocket

BASE, FOLDER = sys.argv[1:3]
LIMIT = 60


class Navigated(Exception):
    """The page was replaced by another one while a script ran in it."""


class Page:
    """A page in a headless Chromium."""

    def __init__(self, profile):
        self.browser = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-port=0", "--user-data-dir=" + profile, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = None

        def has_port():
            nonlocal port
            try:
                port = open(profile + "/DevToolsActivePort").read().split()[0]
            except (OSError, IndexError):
                return False
            return True

        wait("Chromium starts", has_port)
        targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=LIMIT))
        target = next(target for target in targets if target["type"] == "page")
        self.socket = websocket.create_connection(
            target["webSocketDebuggerUrl"], suppress_origin=True, timeout=LIMIT)
        self.count = 0
        self.errors, self.hosts = [], set()
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.count:
                if "navigated" in message.get("error", {}).get("message", "") or "context" in str(message.get("error")):
                    raise Navigated()
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.note(message)

    def note(self, message):
        method, values = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(values["exceptionDetails"].get("exception", {}).get("description", str(values)))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.errors.append(str([argument.get("value") for argument in values["args"]]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            address = urllib.parse.urlsplit(values["request"]["url"])
            if address.scheme not in ("data", "about", "blob"):
                self.hosts.add(address.netloc)

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script[:200]}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def open(self, path):
        self.call("Page.navigate", url=BASE + path)
        self.until(f"{path} is loaded", f"location.href === {json.dumps(BASE + path)} && document.readyState === 'complete'")

    def holds(self, condition):
        """Whether a condition holds; a page that is still being loaded may lack the elements that it names."""
        try:
            return self.run(f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()")
        except Navigated:
            return False

    def until(self, what, condition):
        wait(what, lambda: self.holds(condition), lambda: self.run("String(document.body?.innerText).slice(0, 1500)"))

    def click(self, selector, text=None):
        """Clicks with the mouse in the middle of an element, like a person."""
        place = self.run(f"""(() => {{
            const element = [...document.querySelectorAll({json.dumps(selector)})].find((element) =>
                element.checkVisibility() && ({json.dumps(text)} === null || element.textContent.includes({json.dumps(text)})));
            if (!element) return null;
            element.scrollIntoView({{ block: "center" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        check(place, f"there is no {selector} {text or ''} on {self.run('location.pathname')}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def look(self, dark=False, width=1280):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)


def wait(what, condition, state=lambda: ""):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not within {LIMIT} s: {what}\n{state()}")
        time.sleep(0.05)


def check(condition, problem):
    if not condition:
        raise SystemExit(problem)


# What an audit with axe would report: names, roles, headings, identifiers, contrast, and width.
AUDIT = r"""(() => {
  const problems = [];
  const path = (element) => element.tagName.toLowerCase() + (element.className && typeof element.className === "string" ? "." + element.className.split(" ").join(".") : "")
    + " '" + element.textContent.trim().slice(0, 40) + "'";
  const isShown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const name = (element) => {
    const by = element.getAttribute("aria-labelledby");
    if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    return (element.getAttribute("aria-label") ?? "").trim() || [...(element.labels ?? [])].map((label) => label.textContent).join(" ").trim()
      || (element.matches("input, select, textarea") ? "" : element.textContent.trim()) || (element.querySelector("title")?.textContent ?? "");
  };
  for (const element of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, [role=img], [role=progressbar], [role=meter], nav, dialog[open], summary")) {
    if (isShown(element) && !name(element)) problems.push("no name: " + path(element));
  }
  for (const element of document.querySelectorAll("[role=progressbar], [role=meter]")) {
    const [low, now, high] = ["valuemin", "valuenow", "valuemax"].map((value) => Number(element.getAttribute("aria-" + value) ?? NaN));
    if (!(low <= now && now <= high)) problems.push("wrong values: " + path(element));
  }
  for (const status of document.querySelectorAll(".status")) {
    if (!status.textContent.trim() || !status.querySelector("svg use")) problems.push("status without word or icon: " + path(status));
  }
  if (document.documentElement.lang !== "en") problems.push("no language");
  if (!document.title) problems.push("no title");
  for (const landmark of ["main", "header"]) if (document.querySelectorAll(landmark).length !== 1) problems.push("not one " + landmark);
  if (document.querySelectorAll("[aria-live=polite]").length !== 1) problems.push("not one polite live region");
  const levels = [...document.querySelectorAll("main h1, main h2, main h3")].filter(isShown).map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) problems.push("not one h1: " + levels);
  levels.forEach((level, place) => { if (place && level > levels[place - 1] + 1) problems.push("skipped heading level " + level); });
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) problems.push("id twice: " + id);
  for (const table of document.querySelectorAll("table")) {
    if (isShown(table) && (!table.caption || !table.querySelector("th[scope]"))) problems.push("table without caption or header: " + path(table));
  }
  if (document.querySelector("[style], style, script:not([src]), [onclick], [onload]")) problems.push("inline style or script");

  const parse = (color) => {
    const canvas = parse.canvas ??= Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((part) => top[part] * top[3] + below[part] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = parse(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const luminance = (color) => color.slice(0, 3).map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || !isShown(element) || element.closest("option, noscript, .hidden, :disabled")) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const back = background(element.closest("svg")?.parentElement ?? element);
    const front = over(parse(element.closest("svg") ? style.fill : style.color), back);
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) problems.push(`contrast ${ratio.toFixed(2)}: ${path(element)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) problems.push(`wider than the window by ${document.documentElement.scrollWidth - innerWidth}`);
  return [...new Set(problems)];
})()"""


def audit(page, path):
    for dark, width in ((False, 1280), (True, 1280), (False, 360), (True, 360)):
        page.look(dark, width)
        page.open(path)
        page.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        problems = page.run(AUDIT)
        check(not problems, f"{path}, {'dark' if dark else 'light'}, {width} px:\n" + "\n".join(problems))
    page.look()


def upload(page, flow, file, interactive=False):
    page.open("/new")
    page.run(f"document.querySelector('[name=flow]').value = {json.dumps(flow)}")
    if interactive:
        page.run("document.querySelector('details').open = true")
        page.click("[name=interactive]")
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    field = page.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=field, files=[f"{FOLDER}/{file}"])
    page.click("button", "Create batch")
    page.until("the page of the new batch opens", "/\\/batches\\/[^/]+$/.test(location.pathname) && document.querySelector('h1')")
    return page.run("location.pathname.split('/').pop()")


def confirm(page, text, question):
    page.click("button[data-action]", text)
    page.until("the dialog asks", "document.querySelector('dialog').open")
    shown = page.run("document.querySelector('#confirm-question').textContent")
    check(question in shown, f"the dialog asks '{shown}', without '{question}'")
    page.click("#confirm-yes")
    page.until("the dialog closes", "!document.querySelector('dialog').open")


PERCENT = "Number(document.querySelector('.big [role=progressbar]').getAttribute('aria-valuenow'))"
STATUS = "document.querySelector('.title .status').textContent"


def fact(name):
    return f"[...document.querySelectorAll('.facts dt')].find((name) => name.textContent === '{name}').nextElementSibling.textContent"


def main(page):
    page.look()
    page.open("/")
    batch = upload(page, "work", "records.jsonl")
    print("created", batch)

    page.run("window.isSamePage = true")
    first = page.run(PERCENT)
    page.until("the progress moves", f"{PERCENT} > {first}")
    page.until("the batch completes", f"{STATUS} === 'completed'")
    check(page.run("window.isSamePage"), "the page was loaded again")
    page.until("the failures are counted", f"parseInt({fact('Failed')}) === 6")
    print("followed without loading the page again")

    page.until("the failures are grouped", "document.querySelector('.groups tbody tr')")
    page.click(".groups .name")
    page.until("the list of failed tasks opens", "document.querySelectorAll('tbody tr').length === 6")
    page.click("tbody tr .name")
    page.until("the failed task opens", "document.querySelector('h1').textContent.startsWith('Task')")
    text = page.run("document.querySelector('main').textContent")
    check("<b>bad</b>" in text, "the markup in the record is not shown as text")
    check("went wrong <i>here</i>" in text, "the markup on standard error is not shown as text")
    check(not page.run("document.querySelector('main b, main i')"), "the markup of a record became elements")
    print("opened a failed task")

    open(f"{FOLDER}/fixed", "w").close()
    page.open(f"/batches/{batch}")
    page.until("the failures are grouped", "document.querySelector('.groups tbody button')")
    page.run("window.isSamePage = true")
    confirm(page, "Retry these", "6 failed tasks")
    page.until("no task is failed any longer", f"parseInt({fact('Failed')}) === 0 && {STATUS} === 'completed'")
    check(page.run("window.isSamePage"), "the page was loaded again")
    print("retried a group")

    asking = upload(page, "asker", "one.jsonl", interactive=True)
    page.open("/questions")
    page.until("the question appears", "document.querySelector('[data-answer]')")
    page.click("button", "yes")
    page.until("the question goes", "!document.querySelector('[data-answer]')")
    page.open(f"/batches/{asking}")
    page.until("the batch completes", f"{STATUS} === 'completed'")
    print("answered a question")

    slow = upload(page, "work", "slow.jsonl")
    page.until("a task runs", f"parseInt({fact('Running')}) > 0")
    # Updates neither close a dialog nor move what is pointed at.
    page.click("button[data-action]", "Cancel")
    page.until("the dialog asks", "document.querySelector('dialog').open")
    page.until("the page is updated meanwhile", f"parseInt({fact('Succeeded')}) > 0")
    check(page.run("document.querySelector('dialog').open"), "an update closed the dialog")
    page.click("#confirm-no")
    page.click("#hold")
    page.until("updates are paused", "document.querySelector('#hold').getAttribute('aria-pressed') === 'true'")
    held = page.run(fact("Succeeded"))
    time.sleep(3)
    check(page.run(fact("Succeeded")) == held, "the page was updated although updates are paused")
    page.click("#hold")
    page.until("updates go on", f"{fact('Succeeded')} !== {json.dumps(held)}")
    confirm(page, "Cancel", f"Cancel work {slow}")
    page.until("the batch is cancelled", f"{STATUS} === 'cancelled'")
    print("cancelled")

    page.click(".command .copy")
    page.until("the command is copied", "document.querySelector('#toast').textContent === 'Copied'")
    page.click("#theme")
    check(page.run("document.documentElement.dataset.theme") == "light", "the switch of colours does nothing")
    page.run("localStorage.clear()")

    task = f"/batches/{batch}/tasks"
    paths = ["/", "/?status=failed", "/workers", "/flows", "/questions", "/dead", "/new", f"/batches/{batch}",
             f"/batches/{slow}", task, f"{task}/0", f"{task}?status=succeeded", f"/batches/{batch}/journal"]
    for path in paths:
        audit(page, path)
    print("audited", len(paths), "pages")

    check(not page.errors, "the console has errors:\n" + "\n".join(page.errors))
    host = urllib.parse.urlsplit(BASE).netloc
    check(page.hosts == {host}, f"requests went to {page.hosts}")
    print("no error, no other host")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    page = Page(profile)
    try:
        main(page)
    finally:
        if shot := os.environ.get("SHEAF_BROWSER_SHOT"):
            with open(shot, "wb") as file:
                file.write(base64.b64decode(page.call("Page.captureScreenshot")["data"]))
        page.browser.terminate()
        page.browser.wait()
