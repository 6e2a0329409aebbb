"""What a browser shows: pure functions from states to HTML. Nothing here asks anybody or keeps anything.

Pages follow topics of one stream for each browser: `GET /events?topic=rows&topic=TOPIC` (session.Topic), with
`since=EPOCH-VERSION` where an earlier stream ended. Its events are

- `synced`: {"rows": how many}; first of all, so that "empty" is never "slow",
- `rows`: {"set": [session_row, ...], "gone": [row_id, ...], "counts": counts}; at first all of them, unless
  `since` is known: a page has the first rows only,
- `parts`: {"topic": TOPIC, "parts": session_parts}, of each topic at first,
- `gone`: {"topic": TOPIC}; the session has ended,
- `cut`: {"at": RFC 3339}; the server can't see the cluster since then. `live`: {}; it sees it again,
- `ping`: {}; every 15 s, so that a silent network is noticed,
- `login`: {}; the login has ended.

Logs come from `GET /s/NAMESPACE/NAME/logs/stream?pod=&previous=`, where previous is "" or "1": `line` with
[{"pod", "container", "at", "text"}, ...].
"""
