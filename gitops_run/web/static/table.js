// The grid of sessions: rows are replaced in place, and change their order only while nobody is in the grid.
import { all, morph, one, parse, tick } from "./dom.js";

const box = one("#rows");
const form = one("#filters");
const sorted = one("input[name=sort]", form ?? undefined);
const ranks = one("#sessions")?.dataset.ranks.split(" ");
const rows = new Map(all("[role=row]:not(.group)", box ?? undefined).map((row) => [row.id, row]));
const queue = new Map(); // id -> HTML, or null for gone
const moved = new Set(); // ids whose place changed while somebody is in the grid
let isFlushing = false;
let counted = "";

const cell = (row, number) => row.children[number];
const text = (element) => element?.textContent.toLowerCase() ?? "";
const moment = (row, number) => one("time", cell(row, number))?.dateTime ?? "";
const FIELDS = {
  state: (row) => row.dataset.s,
  name: (row) => text(one("a", cell(row, 2))),
  namespace: (row) => text(one("small", cell(row, 2))),
  owner: (row) => text(cell(row, 3).firstElementChild),
  target: (row) => text(cell(row, 4).firstElementChild),
  saved: (row) => moment(row, 5),
  left: (row) => (cell(row, 7).firstElementChild?.matches("time") ? moment(row, 7) : "~"),
  bucket: (row) => text(cell(row, 8).firstElementChild),
};
const SHOWN = {
  state: (row) => row.dataset.s,
  namespace: (row) => one("small", cell(row, 2)).textContent,
  owner: (row) => cell(row, 3).firstElementChild.textContent,
  target: (row) => cell(row, 4).firstElementChild.textContent,
  bucket: (row) => cell(row, 8).firstElementChild.textContent,
};
const shown = (row, name) => SHOWN[name](row);
const known = new WeakMap(); // row -> its fields, read once

function fields(row) {
  if (!known.has(row)) known.set(row, Object.fromEntries(Object.entries(FIELDS).map(([name, read]) => [name, read(row)])));
  return known.get(row);
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const rank = (name, value) => (name === "state" ? ranks.indexOf(value) : value);

const query = () => new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
const held = () => box.matches(":hover") || box.contains(document.activeElement);

function matching(chosen) {
  const states = chosen.getAll("state");
  const owner = chosen.get("owner") === "mine" ? document.body.dataset.user : chosen.get("owner");
  const ns = chosen.get("ns");
  const words = (chosen.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return (row) =>
    (!states.length || states.includes(row.dataset.s)) &&
    (!owner || shown(row, "owner") === owner) &&
    (!ns || shown(row, "namespace") === ns) &&
    (!words.length || has(text(row), words));
}

const has = (found, words) =>
  words.every((word) => (word.length > 1 && word[0] === "!" ? !found.includes(word.slice(1)) : found.includes(word)));

// The rows that match, in their order, with a heading before each group.
function desired() {
  const chosen = query();
  const sort = (chosen.get("sort") || "state").replace(/^-/, "");
  const by = sort in FIELDS ? sort : "state";
  const turn = (chosen.get("sort")?.[0] === "-") !== (sort === "saved") ? -1 : 1;
  const group = chosen.get("group");
  const keyed = [...rows.values()]
    .filter(matching(chosen))
    .map((row) => ({ row, group: group ? rank(group, fields(row)[group]) : "", key: rank(by, fields(row)[by]) }));
  const byName = ({ row: a }, { row: b }) => compare(fields(a).name, fields(b).name) || compare(fields(a).namespace, fields(b).namespace);
  keyed.sort((a, b) => compare(a.group, b.group) || turn * compare(a.key, b.key) || byName(a, b));
  return group ? headed(keyed, group) : keyed.map(({ row }) => row);
}

function headed(keyed, group) {
  const counts = Map.groupBy(keyed, (each) => each.group);
  return [...counts].flatMap(([, members]) => [heading(shown(members[0].row, group), members.length), ...members.map(({ row }) => row)]);
}

function heading(value, count) {
  const row = parse('<div class="group" role="row"><div role="cell"><span></span><span class="number"></span></div></div>');
  row.dataset.group = value;
  row.firstChild.firstChild.textContent = value || "none";
  row.firstChild.lastChild.textContent = count;
  return row;
}

// Bring the rows into their order. isWhole: all at once, otherwise only those that moved are touched.
export function arrange(isWhole = false) {
  const wanted = desired();
  if (isWhole || query().get("group")) box.replaceChildren(...wanted);
  else {
    for (const id of moved) document.getElementById(id)?.remove();
    const stay = new Set(wanted);
    for (const row of [...box.children]) if (!stay.has(row)) row.remove();
    wanted.forEach((row, place) => box.children[place] !== row && box.insertBefore(row, box.children[place] ?? null));
  }
  moved.clear();
  one("#moved").hidden = true;
  one("#empty").hidden = rows.size > 0;
  one("#no-match").hidden = wanted.length > 0 || rows.size === 0;
  select();
}

export function take({ set, gone, counts, all: whole }) {
  for (const html of set) queue.set(/ id="([^"]*)"/.exec(html)[1], html);
  for (const id of whole ? [...rows.keys()].filter((id) => !whole.includes(id)) : gone) queue.set(id, null);
  if (counts) count(counts);
  if (!isFlushing) requestAnimationFrame(flush);
  isFlushing = true;
}

// Take in a few rows with each frame, so that no change, however large, holds up typing.
function flush() {
  const until = performance.now() + 8;
  for (const [id, html] of queue) {
    queue.delete(id);
    html === null ? remove(id) : replace(parse(html));
    if (performance.now() > until) break;
  }
  isFlushing = queue.size > 0;
  if (isFlushing) requestAnimationFrame(flush);
  settle();
}

function remove(id) {
  const row = rows.get(id) ?? document.getElementById(id);
  if (!row) return;
  rows.delete(row.id);
  row.classList.add("going");
  moved.add(row.id);
}

function replace(row) {
  const old = rows.get(row.id);
  tick(row);
  if (!old) {
    moved.add(row.id);
    know(row);
  } else if (place(old) !== place(row)) moved.add(row.id);
  if (old) one("input", row).checked = one("input", old).checked;
  if (old?.contains(document.activeElement)) return void known.delete(morph(old, row)[0]);
  if (!old?.isEqualNode(row)) {
    old?.replaceWith(row);
    rows.set(row.id, row);
  }
}

// What decides where a row stands, as one text.
function place(row) {
  const chosen = query();
  const sort = (chosen.get("sort") || "state").replace(/^-/, "");
  const group = chosen.get("group");
  return [matching(chosen)(row), fields(row)[sort], group && fields(row)[group], fields(row).name].join("\n");
}

function settle() {
  if (!moved.size) return select();
  if (!held()) return arrange();
  one("#moved").textContent = `${moved.size} changed order`;
  one("#moved").hidden = false;
}

// An owner or namespace that is new can be chosen.
function know(row) {
  for (const [name, field] of [["owner", "owner"], ["ns", "namespace"]]) {
    const value = shown(row, field);
    const choice = form.elements[name];
    if (value && ![...choice.options].some((option) => option.value === value)) choice.add(new Option(value, value));
  }
}

function count(html) {
  if (html === counted) return;
  counted = html;
  const chosen = query().getAll("state");
  const next = parse(html);
  for (const input of all("input", next)) input.toggleAttribute("checked", chosen.includes(input.value));
  morph(one("#counts"), next);
}

function select() {
  const chosen = all("input:checked", box);
  one("#bulk").hidden = !chosen.length;
  one("#selected").textContent = `${chosen.length} selected`;
  one("#all").checked = chosen.length > 0 && chosen.length === all("input", box).length;
}

function changed(how) {
  const chosen = query().toString();
  history[how](null, "", chosen ? `/?${chosen}` : "/");
  one("[data-do=clear]", form).hidden = !chosen;
  const sort = query().get("sort") || "state";
  for (const button of all("[data-sort]"))
    button.parentElement.ariaSort = { [button.dataset.sort]: "ascending", [`-${button.dataset.sort}`]: "descending" }[sort] ?? null;
  arrange(true);
}

function read() {
  const chosen = new URLSearchParams(location.search);
  for (const name of ["q", "owner", "ns", "group"]) form.elements[name].value = chosen.get(name) ?? "";
  sorted.value = chosen.get("sort") ?? "";
  for (const input of all("#counts input")) input.checked = chosen.getAll("state").includes(input.value);
}

export function sortBy(name) {
  sorted.value = (sorted.value || "state") === name ? `-${name}` : name;
  changed("pushState");
}

export function clear() {
  for (const name of ["q", "owner", "ns", "group"]) form.elements[name].value = "";
  for (const input of all("#counts input")) input.checked = false;
  changed("pushState");
}

export const isAllSuspended = () => all("input:checked", box).every((input) => input.closest("[role=row]").dataset.s === "suspended");

export function unselect() {
  for (const input of all("input:checked", box)) input.checked = false;
  select();
}

export function start() {
  read();
  form.elements.q.addEventListener("input", () => changed("replaceState"));
  form.addEventListener("change", ({ target }) => target.name !== "q" && changed("pushState"));
  one(".tools").addEventListener("change", ({ target }) => target.name === "state" && changed("pushState"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.dataset.sort) sortBy(event.submitter.dataset.sort);
  });
  addEventListener("popstate", () => (read(), changed("replaceState")));
  box.addEventListener("change", select);
  one("#all").addEventListener("change", ({ target }) => {
    for (const input of all("input", box)) input.checked = target.checked;
    select();
  });
  one("#moved").addEventListener("click", () => arrange());
  for (const each of all(".for-selected"))
    each.addEventListener("formdata", ({ formData }) => {
      for (const { value } of all("input:checked", box)) formData.append("session", value);
    });
  for (const leaving of ["pointerleave", "focusout"]) box.addEventListener(leaving, () => setTimeout(() => moved.size && !held() && arrange(), 0));
  one("[data-do=clear]", form).hidden = !query().toString();
  select();
}
