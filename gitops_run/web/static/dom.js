// HTML becomes nodes here and nowhere else: only what this server wrote, through one Trusted Types policy.
const policy = globalThis.trustedTypes?.createPolicy("gitops-run", {
  createHTML: (html) => html,
  createScriptURL: (url) => {
    if (url.startsWith("/static/")) return url;
    throw new TypeError(`not a script of this page: ${url}`);
  },
});

export const scriptUrl = (name) => (policy ? policy.createScriptURL(`/static/${name}`) : `/static/${name}`);

export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = policy ? policy.createHTML(html) : html;
  return template.content.firstElementChild;
}

// Change what differs, and keep focus, what is typed or chosen, and which details are open.
export function morph(old, next) {
  return Idiomorph.morph(old, next, {
    ignoreActiveValue: true,
    callbacks: { beforeAttributeUpdated: (name) => name !== "open" && name !== "selected" },
  });
}

export const one = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

let saying;
export function say(words) {
  one("#said").textContent = words;
  clearTimeout(saying);
  saying = setTimeout(() => (one("#said").textContent = ""), 2500);
}

const UNITS = [["d", 86400], ["h", 3600], ["m", 60]];

// As words.rough does.
export function rough(seconds) {
  const whole = Math.max(Math.trunc(seconds), 0);
  for (const [unit, size] of UNITS)
    if (whole >= 2 * size || (whole >= size && unit === "m")) return `${Math.trunc(whole / size)}${unit}`;
  return `${whole}s`;
}

// Show the exact time of an age, in the zone of whoever looks.
export function exact({ target }) {
  const time = target.closest?.("time[datetime]");
  if (time) time.title = new Date(time.dateTime).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" });
}

// Write ages and what is left as they are now.
export function tick(within = document) {
  const now = Date.now();
  for (const time of all("time[datetime]", within)) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    const words = written(time, seconds);
    if (Number.isFinite(seconds) && time.textContent !== words) time.textContent = words;
  }
}

function written({ classList }, seconds) {
  if (!classList.contains("left")) return rough(seconds);
  if (seconds >= 0) return "over";
  return classList.contains("brief") ? rough(-seconds) : leftWords(-seconds);
}

// The two largest units, as Duration.rough does.
function leftWords(seconds) {
  let rest = Math.trunc(seconds);
  const parts = [...UNITS, ["s", 1]].map(([unit, size]) => {
    const count = Math.trunc(rest / size);
    rest -= count * size;
    return count ? `${count}${unit}` : "";
  });
  const first = parts.findIndex(Boolean);
  return parts.slice(first, first + 2).join("") || "0s";
}
