// Shared by all tabs of a browser: one stream, whatever the number of tabs. Keeps the newest of each topic, for a
// tab that comes later.
import { open } from "./events.js";

const tabs = new Map(); // port -> topic
const rows = new Map(); // id -> HTML
const parts = new Map(); // topic -> the newest message
let stream, counts, isWhole = false, isOver = false, status = ["cut", { at: new Date().toISOString() }];

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.leave ? leave(port) : join(port, data.topic));
};

function join(port, topic) {
  const isKnown = [...tabs.values()].includes(topic);
  tabs.set(port, topic);
  if (!isKnown || isOver) return reopen(topic === "rows" ? "" : stream?.id());
  if (topic === "rows" && counts !== undefined) port.postMessage(["rows", { set: [...rows.values()], gone: [], counts, all: [...rows.keys()] }]);
  if (parts.has(topic)) port.postMessage(parts.get(topic));
  port.postMessage(status);
}

function leave(port) {
  const topic = tabs.get(port);
  tabs.delete(port);
  if ([...tabs.values()].includes(topic)) return;
  parts.delete(topic);
  if (topic === "rows") rows.clear(), (counts = undefined);
  reopen(stream?.id());
}

function reopen(since) {
  stream?.stop();
  stream = undefined;
  if (tabs.size) stream = open([...new Set(tabs.values())].sort(), (isOver ? "" : since) ?? "", take);
  isOver = false; // whoever opens a page may have logged in since
}

function take(name, data) {
  if (name === "synced" && data.all) rows.clear(), (isWhole = true);
  if (name === "rows") {
    for (const html of data.set) rows.set(/ id="([^"]*)"/.exec(html)[1], html);
    for (const id of data.gone) rows.delete(id);
    counts = data.counts;
    if (isWhole) data.all = [...rows.keys()];
    isWhole = false;
  }
  if (name === "parts" || name === "gone") parts.set(data.topic, [name, data]);
  if (name === "login") rows.clear(), parts.clear(), (counts = undefined), (isOver = true);
  if (name === "cut" || name === "live" || name === "login") status = [name, data];
  for (const [port, topic] of tabs)
    if (name === "rows" || name === "synced" ? topic === "rows" : (data.topic ?? topic) === topic) port.postMessage([name, data]);
}
