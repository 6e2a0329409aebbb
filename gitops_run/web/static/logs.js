// The tab Logs: follows the stream of lines, and shows those that match. A worker does the matching.
import { all, one, say, scriptUrl } from "./dom.js";

const KEPT = 5000;
const DEADLINE_MS = 500;
const FIRST_MS = 5000; // so long after the beginning, lines are what the pods have kept, one pod after the other
const view = one("#logs");
const list = one("#log-lines");
let lines = [], waiting = [], shown = [], worker, isReady, source, number = 0, deadline, isPaused = false, frame = 0, began = 0;
let newest = new Map(), known = newest; // container -> when its newest line was, and when it was as the stream began
const notes = new Map(); // container -> why it has no lines
const pods = new Map();

const filter = () => ({
  pod: one("#log-pod").value,
  level: one("#log-level").value,
  text: one("#log-text").value,
  isRegex: one("#log-regex").checked,
});

function employ() {
  isReady = false;
  worker = new Worker(scriptUrl("logs-worker.js"), { type: "module" });
  worker.onmessage = ({ data }) => (data.isReady ? limit() : answer(data));
}

function ask(message) {
  worker.postMessage({ ...message, number: ++number });
  if (isReady) limit();
}

// Where an expression takes too long, end the worker and show everything. Loading it is not the expression's time.
function limit() {
  isReady = true;
  if (!filter().isRegex) return;
  deadline ??= setTimeout(() => {
    worker.terminate();
    deadline = undefined;
    employ();
    problem(`this expression takes longer than ${DEADLINE_MS} ms, so all lines are shown: simplify it`);
    worker.postMessage({ reset: lines, filter: { ...filter(), text: "" }, number: ++number });
  }, DEADLINE_MS);
}

function answer({ number: answered, problem: words, isWhole, lines: found }) {
  if (answered === number) {
    clearTimeout(deadline);
    deadline = undefined;
  }
  if (words) problem(words);
  if (isWhole) {
    list.replaceChildren();
    shown = [];
    waiting = [];
  }
  waiting = [...waiting, ...found].slice(-KEPT);
  if (!isPaused) frame ||= requestAnimationFrame(draw);
  count();
}

function problem(words) {
  one("#log-problem").textContent = words;
  one("#log-problem").hidden = !words;
}

function draw() {
  frame = 0;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const part = waiting.splice(0, 250);
  shown.push(...part);
  list.append(...part.map(element));
  while (list.childElementCount > KEPT) list.firstChild.remove();
  shown = shown.slice(-KEPT);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  if (waiting.length) frame = requestAnimationFrame(draw);
  count();
}

function element({ pod, container, at, text, level }) {
  const row = document.createElement("div");
  if (!pods.has(pod)) pods.set(pod, pods.size % 6);
  row.className = `line pod-${pods.get(pod)}`;
  row.dataset.level = level;
  row.append(part("time", at.slice(11, 19), at), part("span", pod, `${pod} ${container}`, "pod"), part("span", text, "", "text"));
  return row;
}

function part(name, words, title, kind = "") {
  const made = document.createElement(name);
  made.textContent = words;
  made.title = title;
  made.className = kind;
  return made;
}

function count() {
  const more = isPaused && waiting.length ? `, ${waiting.length} more since you paused` : "";
  one("#log-count").textContent = `${shown.length.toLocaleString("en")} of ${lines.length.toLocaleString("en")} lines${more}`;
}

function follow() {
  source?.close();
  lines = [];
  newest = new Map();
  ask({ reset: [], filter: filter() });
  const query = new URLSearchParams({ pod: one("#log-pod").value, previous: one("#log-previous").checked ? "1" : "" });
  source = new EventSource(`${view.dataset.stream}?${query}`);
  source.addEventListener("open", () => {
    began = performance.now();
    known = new Map(newest); // a stream that is opened again repeats the last lines
    notes.clear();
    tell();
  });
  source.addEventListener("line", ({ data }) => add(JSON.parse(data).filter(isNew)));
  source.addEventListener("note", ({ data }) => note(JSON.parse(data)));
  source.addEventListener("denied", ({ data }) => {
    const { message, hint } = JSON.parse(data);
    note({ pod: "", container: "", text: [message, hint].filter(Boolean).join(" ") });
  });
  source.addEventListener("end", () => source.close());
  source.onerror = () => note({ pod: "", container: "", text: source.readyState === EventSource.CLOSED ? "The lines can't be followed: load the page again." : "No lines come at present, reconnecting." });
}

const isNew = ({ pod, container, at }) => at > (known.get(`${pod} ${container}`) ?? "");

function add(added) {
  for (const { pod, container, at } of added) newest.set(`${pod} ${container}`, at);
  const isFirst = !isPaused && performance.now() < began + FIRST_MS;
  const isLate = isFirst && added.some(({ at }, place) => at < ((added[place - 1] ?? lines.at(-1))?.at ?? ""));
  lines = [...lines, ...added];
  if (isLate) lines.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  lines = lines.slice(-KEPT);
  if (isLate) ask({ reset: lines });
  else if (added.length) ask({ add: added });
}

function note({ pod, container, text }) {
  notes.set(`${pod} ${container}`, [[pod, container].filter(Boolean).join(" "), text].filter(Boolean).join(": "));
  tell();
}

function tell() {
  one("#log-note").textContent = [...notes.values()].join("\n");
  one("#log-note").hidden = !notes.size;
}

export function podsChanged() {
  one("#log-previous").disabled = !("previous" in one("#log-pod").dataset);
}

function changed() {
  const query = new URLSearchParams(location.search);
  for (const input of all("[name]", view)) {
    const value = input.type === "checkbox" ? (input.checked ? "1" : "") : input.value;
    value ? query.set(input.name, value) : query.delete(input.name);
  }
  history.replaceState(null, "", `?${query}`);
}

function refilter() {
  changed();
  problem("");
  ask({ filter: filter() });
}

export function toggle() {
  isPaused = !isPaused;
  const button = one("#log-follow");
  button.textContent = isPaused ? "Follow" : "Pause";
  button.ariaPressed = String(!isPaused);
  if (!isPaused) {
    list.scrollTop = list.scrollHeight;
    frame ||= requestAnimationFrame(draw);
  }
  count();
}

export function download() {
  const text = [...shown, ...waiting].map(({ at, pod, container, text: words }) => `${at} ${pod} ${container} ${words}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(text, { type: "text/plain" }));
  link.download = `${location.pathname.split("/").pop()}.log`;
  link.click();
  URL.revokeObjectURL(link.href);
  say(`Downloaded ${text.length} lines`);
}

export function start() {
  const query = new URLSearchParams(location.search);
  for (const input of all("[name]", view))
    input.type === "checkbox" ? (input.checked = query.has(input.name)) : (input.value = query.get(input.name) ?? "");
  employ();
  follow();
  one("#log-text").addEventListener("input", refilter);
  one("#log-level").addEventListener("change", refilter);
  one("#log-regex").addEventListener("change", refilter);
  for (const id of ["#log-pod", "#log-previous"]) one(id).addEventListener("change", () => (changed(), follow()));
}
