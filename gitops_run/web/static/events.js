// One stream of server-sent events, opened again whenever it is cut. Runs in the shared worker, or in the page.
const NAMES = ["synced", "rows", "parts", "gone", "cut", "live", "ping", "login", "busy"];
const SILENCE_MS = 40_000;
const WAIT_MAX_MS = 30_000;

// listen(name, data) gets every event; "cut" with the time since when nothing was heard, and whether that is since
// the server has too many streams.
export function open(topics, since, listen) {
  let source, silence, again, id = since, wait = 1000, heard = Date.now(), isOver = false, isBusy = false;

  function start() {
    const query = new URLSearchParams(topics.map((topic) => ["topic", topic]));
    if (id) query.set("since", id);
    source = new EventSource(`/events?${query}`);
    for (const name of NAMES) source.addEventListener(name, (event) => take(name, event));
    source.onerror = () => cut(source.readyState === EventSource.CLOSED);
    watch();
  }
  function take(name, event) {
    isBusy = name === "busy";
    if (isBusy) return cut(false);
    heard = Date.now();
    wait = 1000;
    id = event.lastEventId || id;
    watch();
    if (name === "synced") listen("live", {});
    if (name === "login") stop();
    if (name !== "ping") listen(name, JSON.parse(event.data || "{}"));
  }
  function watch() {
    clearTimeout(silence);
    silence = setTimeout(() => cut(true), SILENCE_MS);
  }
  function cut(isClosed) {
    if (isOver) return;
    listen("cut", { at: new Date(heard).toISOString(), isBusy });
    if (!isClosed) return; // the browser connects again on its own
    source.close();
    clearTimeout(silence);
    clearTimeout(again);
    again = setTimeout(start, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, WAIT_MAX_MS);
  }
  function stop() {
    isOver = true;
    clearTimeout(silence);
    clearTimeout(again);
    source.close();
  }
  start();
  return { stop, id: () => id };
}
