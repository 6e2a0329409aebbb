// What a page does in the browser: it follows its topic, and answers keys and clicks. No state is kept but the URL.
import { all, exact, morph, one, parse, say, scriptUrl, tick } from "./dom.js";
import { open } from "./events.js";
import * as keys from "./keys.js";

const { page, topic } = document.body.dataset;
const table = one("#rows") && (await import("./table.js"));
const logs = one("#logs") && (await import("./logs.js"));
const parts = new Map();

// --- the stream
function take([name, data]) {
  if (name === "rows") table?.take(data);
  if (name === "parts") {
    for (const [id, html] of Object.entries(data.parts)) put(id, html);
    logs?.podsChanged();
  }
  if (name === "gone") location.reload();
  if (name === "live" || name === "cut") status(name, data);
  if (name === "login") {
    status("cut", { at: new Date() });
    one("#cut").textContent = "Your login has ended. Start gitops-run ui again, and open the link that it prints.";
  }
}

function put(id, html) {
  const old = document.getElementById(id);
  if (id === "log-pod" && !old) return location.reload(); // the first pod: logs can be followed from now on
  if (!old || parts.get(id) === html || (logs && id === "panel")) return; // lines stay when the last pod goes
  parts.set(id, html);
  const next = parse(html);
  tick(next);
  morph(old, next);
}

function status(name, { at, isBusy }) {
  document.body.dataset.stream = name;
  const asOf = () => `As of ${new Date(at).toLocaleTimeString("en-GB")}, reconnecting`;
  const words = name !== "cut" ? "" : isBusy ? "Too many pages are open: close some of them." : asOf();
  if (one("#cut").textContent !== words) one("#cut").textContent = words;
  one("#cut").hidden = !words;
}

function follow() {
  if (!topic) return;
  if (globalThis.SharedWorker) {
    const { port } = new SharedWorker(scriptUrl("stream-worker.js"), { type: "module", name: "gitops-run" });
    port.onmessage = ({ data }) => take(data);
    port.postMessage({ topic });
    addEventListener("pagehide", () => port.postMessage({ leave: true }));
    return;
  }
  let stream; // without a shared worker, each tab has a stream of its own, as long as it is seen
  const look = () => {
    stream?.stop();
    stream = document.hidden ? undefined : open([topic], "", (name, data) => take([name, data]));
  };
  document.addEventListener("visibilitychange", look);
  look();
}

// --- what keys and buttons do
const visible = () => all("#rows [role=rowheader] a");
const current = () => document.activeElement.closest("#rows [role=row]");

function step(by) {
  const links = visible();
  const at = links.indexOf(current()?.querySelector("[role=rowheader] a"));
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
}

function tab(by) {
  const links = all(".tabs a");
  links[(links.findIndex((link) => link.ariaCurrent) + by + links.length) % links.length]?.click();
}

// On the page of all sessions an action is for the selected ones, otherwise for the row in focus.
function act(does) {
  const box = current()?.querySelector("input");
  if (table && one("#bulk").hidden && box) box.click();
  if (does === "pause" && table?.isAllSuspended()) does = "resume";
  all(`[data-do="${does}"]`).find((each) => each.checkVisibility() && !each.disabled)?.click();
}

async function copy(text, what = "Copied") {
  await navigator.clipboard.writeText(text);
  say(what);
}

const actions = {
  next: () => step(1),
  previous: () => step(-1),
  open: () => current()?.querySelector("[role=rowheader] a").click(),
  select: () => current()?.querySelector("input").click(),
  order: () => {
    const columns = all("[data-sort]");
    const at = columns.findIndex((button) => button.parentElement.ariaSort);
    table.sortBy(columns[(at + 1) % columns.length].dataset.sort);
  },
  "next-tab": () => tab(1),
  "previous-tab": () => tab(-1),
  link: () => copy(location.href, "Link copied"),
  retry: () => act("retry"),
  pause: () => act("pause"),
  extend: () => act("extend"),
  back: (event) => {
    if (one("dialog[open]")) return; // the browser closes it
    if (event.target.matches("input, select")) return event.target.blur();
    if (page === "session") one(".bar [data-do=sessions]").click();
    else if (table) table.unselect();
  },
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  if (button.matches(".copy")) copy(button.textContent, `Copied ${button.textContent}`);
  if (button.dataset.copy) copy(button.dataset.copy, "Command copied");
  if (button.dataset.copyFrom) copy(document.getElementById(button.dataset.copyFrom).textContent, "YAML copied");
  const does = button.dataset.do;
  if (does === "clear") table?.clear();
  if (does === "unselect") table?.unselect();
  if (does === "follow") logs?.toggle();
  if (does === "download") logs?.download();
  if (does === "link") actions.link();
  if (button.hasAttribute("commandfor") && !("commandForElement" in button)) document.getElementById(button.getAttribute("commandfor")).showModal();
});

// --- everything starts
table?.start();
logs?.start();
keys.start(actions);
follow();
tick();
setInterval(tick, 5000);
addEventListener("pointerover", exact);
addEventListener("pageshow", (event) => event.persisted && location.reload());
if (page === "loading") setTimeout(() => location.reload(), 2000);
