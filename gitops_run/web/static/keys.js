// The keys: read from the help, which is their table.
import { all, one } from "./dom.js";

const STORED = "gitops-run-keys";
const bound = new Map();
let typed = "";

const isTyping = (target) => target.matches("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");

export function start(actions) {
  const page = document.body.dataset.page;
  for (const row of all("#keys [data-keys]"))
    if (!row.dataset.where || row.dataset.where === page) bound.set(row.dataset.keys, row.dataset.does);
  const box = one("#keys-on");
  box.checked = localStorage.getItem(STORED) !== "off";
  box.addEventListener("change", () => localStorage.setItem(STORED, box.checked ? "on" : "off"));
  addEventListener("keydown", (event) => press(event, actions, box.checked));
}

function press(event, actions, isOn) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") return actions.back(event);
  if (!isOn || isTyping(event.target) || one("dialog[open]")) return;
  const keys = typed ? `${typed} ${event.key}` : event.key;
  typed = [...bound.keys()].some((each) => each.startsWith(`${keys} `)) ? keys : "";
  const does = bound.get(keys);
  if (!does || (event.key === "Enter" && event.target.matches("a, button, summary"))) return;
  event.preventDefault();
  if (actions[does]) actions[does](event);
  else click(does);
}

// A key does what the visible element does that is marked with it.
function click(does) {
  const target = all(`[data-do="${does}"]`).find((each) => each.checkVisibility() && !each.disabled);
  target?.matches("input") ? (target.focus(), target.select()) : target?.click();
}
