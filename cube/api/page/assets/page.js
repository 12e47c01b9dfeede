"use strict";

// ---- times: the server says when, the page says how long ago

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

function ago(seconds) {
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [1, "s"];
  return Math.round(Math.max(seconds, 0) / length) + unit;
}

function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = new Date(time.dateTime).toLocaleString();
  }
}

// ---- parts: what came anew is laid over what is there, so that focus, selection and what is open stay

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id ? node.id : null);
const KEPT = new Set(["open", "title"]);

function layOver(there, wanted) {
  const keyed = new Map([...there.children].filter(keyOf).map((child) => [child.id, child]));
  let next = there.firstChild;
  for (const child of [...wanted.childNodes]) {
    const key = keyOf(child);
    const same = key ? keyed.get(key) : next && !keyOf(next) && next.nodeName === child.nodeName ? next : null;
    if (!same) {
      there.insertBefore(child, next);
      continue;
    }
    if (same === next) next = next.nextSibling;
    else there.insertBefore(same, next);
    layOne(same, child);
  }
  while (next) {
    const rest = next;
    next = next.nextSibling;
    rest.remove();
  }
}

function layOne(there, wanted) {
  if (there.nodeType !== Node.ELEMENT_NODE) {
    if (there.nodeValue !== wanted.nodeValue) there.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...there.attributes])
    if (!wanted.hasAttribute(name) && !KEPT.has(name)) there.removeAttribute(name);
  for (const { name, value } of wanted.attributes)
    if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  if (there.nodeName !== "TIME") layOver(there, wanted);
}

function takePart({ part, html }) {
  const place = document.getElementById("part-" + part);
  if (!place) return;
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const wanted = document.createElement("section");
  wanted.append(...parsed.body.childNodes);
  layOver(place, wanted);
  tellTimes(place);
}

// ---- live: the server sends each part that has changed

let stream = null;

function follow(address) {
  const pulse = document.getElementById("pulse");
  const say = (state, text) => {
    if (pulse.dataset.state === state) return;
    pulse.dataset.state = state;
    pulse.textContent = text;
  };
  stream?.close();
  stream = new EventSource(address);
  stream.addEventListener("open", () => say("live", "live"));
  stream.addEventListener("part", (event) => {
    say("live", "live");
    takePart(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) say("ended", "ended: reload to sign in again");
    else say("lost", "connection lost, trying again");
  });
}

function filterBy(words) {
  const address = new URL(document.body.dataset.live, location);
  address.searchParams.set("q", words);
  const here = new URL(location);
  words ? here.searchParams.set("q", words) : here.searchParams.delete("q");
  history.replaceState(null, "", here);
  document.body.dataset.live = address.pathname + address.search;
  follow(document.body.dataset.live);
}

// ---- logs: a JSON object a line, as long as the task writes

const MOST_LINES = 5000;

async function readLogs(place) {
  const state = document.getElementById("log-state");
  const isFollowed = document.getElementById("follow");
  try {
    const answer = await fetch(place.dataset.logs);
    if (!answer.ok) {
      const problem = await answer.json();
      state.textContent = problem.detail;
      return;
    }
    state.textContent = "live";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      place.append(...lines.filter(Boolean).map((line) => lineOf(JSON.parse(line))));
      while (place.childElementCount > MOST_LINES) place.firstChild.remove();
      if (isFollowed.checked) place.scrollTop = place.scrollHeight;
    }
    state.textContent = "ended";
  } catch (error) {
    state.textContent = "connection lost: reload";
  }
}

function lineOf(line) {
  const span = document.createElement("span");
  span.className = line.error ? "alert" : line.stream;
  span.textContent = (line.error ? [line.error, line.where, line.why].filter(Boolean).join(": ") : line.text) + "\n";
  return span;
}

// ---- hands: buttons, keys

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  if (button && "closes" in button.dataset) button.closest("dialog").close();
  if (button?.id === "theme") {
    const root = document.documentElement;
    const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : prefersDark;
    localStorage.setItem("theme", (root.dataset.theme = isDark ? "light" : "dark"));
  }
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    document.getElementById("q")?.focus();
    event.preventDefault();
  }
});

const field = document.getElementById("q");
if (field) {
  let waits = 0;
  field.addEventListener("input", () => {
    clearTimeout(waits);
    waits = setTimeout(() => filterBy(field.value.trim()), 150);
  });
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    filterBy(field.value.trim());
  });
}

tellTimes();
setInterval(() => tellTimes(), 1000);
if (document.body.dataset.live) follow(document.body.dataset.live);
const log = document.getElementById("log");
if (log) readLogs(log);
