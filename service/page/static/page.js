// The frame: which view is shown, the colours, and what happens when something goes wrong.

import { get, LONGEST_MS, Told, unanswered } from "./api.js";
import { fill, h, parts } from "./dom.js";
// It is there whatever happens: what was typed waits for it.
import "./login.js";
import { anew, isSent, load, preload, Unfetched } from "./modules.js";

const VIEWS = [
  [/^$/, "home"],
  [/^experiments\/(?<id>[a-z0-9_]+)$/, "experiment"],
  [/^attack$/, "attack"],
  [/^leaderboard$/, "leaderboard"],
  [/^checkpoints$/, "checkpoints"],
  [/^checkpoints\/(?<id>[a-z0-9_]+)$/, "checkpoint"],
  [/^import$/, "import"],
  [/^new$/, "new"],
  [/^compare$/, "compare"],
  [/^data$/, "data"],
  [/^system$/, "system"],
  [/^login$/, "login"],
];

const AGAIN_MS = 4000;

const main = document.getElementById("main");
let leaving = new AbortController();
// The place whose view is shown. A change of the address may be told when it has changed again, and the second change then, too.
let shown = null;
// A view with what was typed in it, and by whom, while they log in again.
let current = null;
let kept = null;
// The place whose view had no answer last, and how long it is let be.
let missed = { hash: null, wait: AGAIN_MS };

function asked() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  for (const [pattern, name] of VIEWS) {
    const found = pattern.exec(path);
    if (found && document.getElementById(`view-${name}`)) return { name, values: { ...found.groups }, search: new URLSearchParams(search) };
  }
  return null;
}

const isTriedAgain = (error) => unanswered(error) || error instanceof Unfetched;

function sorry(error) {
  const told = error instanceof Told ? error.message : "This view has a fault. Loading the page again may help.";
  main.replaceChildren(h("h1", {}, error.status === 404 ? "There is no such thing" : "This cannot be shown"), h("p", { class: "fault" }, told),
    ...(error.errors ?? []).map((each) => h("p", {}, `${each.pointer} ${each.message}`)), ...(isTriedAgain(error) ? [h("p", { class: "soft" }, "Trying again …")] : []), h("p", {}, error.status === 404 ? null : [h("button", { type: "button", onclick: error instanceof Unfetched ? () => location.reload() : show }, "Try again"), " "], h("a", { href: "#/" }, "To all experiments")));
}

async function show() {
  if ((location.hash && !location.hash.startsWith("#/")) || location.hash === shown) return;
  shown = location.hash;
  leaving.abort();
  current = null;
  const view = asked();
  for (const link of document.querySelectorAll("#views a")) {
    const here = link.hash === `#/${view?.name === "home" ? "" : view?.name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const goesOn = kept?.hash === location.hash;
  if (!goesOn && view?.name !== "login") forget();
  leaving = new AbortController();
  const { signal } = leaving;
  if (!view) {
    main.replaceChildren(h("h1", {}, "There is no such view"), h("p", {}, h("a", { href: "#/" }, "To all experiments")));
    return;
  }
  const template = document.getElementById(`view-${view.name}`);
  preload(template);
  // A view that has been left takes nothing any more, however long the next one's modules are on their way.
  main.replaceChildren();
  try {
    if (goesOn) {
      const owner = await login(signal);
      if (signal.aborted) return;
      if (owner === kept.owner) {
        takeUp();
        return;
      }
      forget();
    }
    const module = await load(view.name);
    if (signal.aborted) return;
    const root = template.content.cloneNode(true);
    const named = parts(root);
    main.replaceChildren(root);
    title(module.title);
    window.scrollTo(0, 0);
    // It is kept for nobody where the service does not say who that would be.
    const asking = module.keeps ? login(signal).catch(() => null) : null;
    await module.show({ parts: named, ...view.values, search: view.search, signal, title, place });
    const owner = await asking;
    if (!signal.aborted) missed.hash = null;
    if (owner && !signal.aborted) current = { hash: shown, leaving, owner };
    document.querySelectorAll("template[data-modules]").forEach(preload);
  } catch (error) {
    if (signal.aborted) return;
    // What has begun to look again and again ends with it.
    leaving.abort();
    shown = null;
    if (error.status !== 401) sorry(error);
    if (isTriedAgain(error)) tryAgain(template, error);
    if (!(error instanceof Told)) throw error;
  }
}

// By itself, once the service sends the view, and ever more seldom. A module may have been missed long ago.
async function tryAgain(template, error) {
  const { signal } = (leaving = new AbortController());
  if (missed.hash !== location.hash) missed = { hash: location.hash, wait: AGAIN_MS };
  for (let isNow = error instanceof Unfetched; ; isNow = false) {
    if (!isNow) await pause(missed.wait, signal);
    if (signal.aborted) return;
    if (document.hidden) continue;
    missed.wait = Math.min(missed.wait * 1.5, LONGEST_MS);
    if (!(await isSent(template)) || signal.aborted) continue;
    if (error instanceof Unfetched) anew();
    else await showInPlace();
  }
}

// So long, or until the network or the reader is there again, or has left.
function pause(ms, signal) {
  const over = new AbortController();
  const once = { signal: over.signal };
  return new Promise((done) => {
    setTimeout(done, ms);
    signal.addEventListener("abort", done, once);
    window.addEventListener("online", done, once);
    document.addEventListener("visibilitychange", done, once);
  }).finally(() => over.abort());
}

// Show the view that is asked for, for a reader who has gone nowhere.
async function showInPlace() {
  const isFocused = main.contains(document.activeElement);
  await show();
  // What had it is gone, and nothing else was given it since.
  if (isFocused && document.activeElement === document.body) main.focus({ preventScroll: true });
}

// Whose login this is; null where none is wanted.
const login = async (signal) => (await get("/v1/session", signal)).owner;

function forget() {
  kept?.leaving.abort();
  kept = null;
}

// Go on in the view that was kept; what it was refused for want of a login it may ask for again.
function takeUp() {
  main.replaceChildren(...kept.nodes);
  document.title = kept.title;
  const { hash, owner } = kept;
  ({ leaving } = kept);
  current = { hash, leaving, owner };
  kept = null;
  for (const fault of main.querySelectorAll(".fault[role=alert]")) fault.hidden = true;
  window.dispatchEvent(new Event("gauntlet:back"));
}

// The view that is shown has another address from now on.
function place(hash) {
  history.replaceState(null, "", hash);
  shown = location.hash;
}

function title(text) {
  document.title = text ? `${text} · Gauntlet` : "Gauntlet";
}

const THEMES = { system: ["◐", "as the system has them"], light: ["☀", "light"], dark: ["☾", "dark"] };
const themeButton = document.getElementById("theme");

function theme(chosen) {
  const [sign, words] = THEMES[chosen] ?? THEMES.system;
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  fill(themeButton, sign);
  themeButton.setAttribute("aria-label", `Colours: ${words}`);
  themeButton.title = `Colours: ${words}`;
  localStorage.setItem("theme", chosen);
}

theme(localStorage.getItem("theme") ?? "system");
themeButton.onclick = () => {
  const order = Object.keys(THEMES);
  theme(order[(order.indexOf(localStorage.getItem("theme")) + 1) % order.length]);
};

window.addEventListener("hashchange", async () => {
  await show();
  // Unless the reader, or the view, has gone to a field by now.
  if (location.hash.startsWith("#/") && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
});
document.querySelector(".skip").onclick = (event) => {
  // The address stays that of the view.
  event.preventDefault();
  main.focus();
};
// A form is sent by its view alone; a browser would load the page anew, and of one whose view is not there yet drop what was typed.
main.addEventListener("submit", (event) => event.preventDefault());
// What one tab says others hear: a session that has ended has ended for them all. One that has begun lets them go on, and
// of a view that was another's nothing stays.
const tabs = new BroadcastChannel("gauntlet");
tabs.onmessage = async ({ data }) => {
  if (data === "out") {
    window.dispatchEvent(new Event("gauntlet:login"));
    return;
  }
  if (location.hash.startsWith("#/login")) {
    goOn();
    return;
  }
  const { signal } = leaving;
  const owner = current ? await login(signal).catch(() => null) : null;
  if (signal.aborted || (owner && owner === current?.owner)) return;
  shown = null;
  show();
};
// Where a login leads: only ever a view of this page.
const goOn = () => (location.hash = `#/${(asked().search.get("then") ?? "").replace(/^login.*/, "")}`);
window.addEventListener("gauntlet:session", ({ detail }) => {
  // Who has gone to a view that asks for no login stays there.
  if (detail === "in" && location.hash.startsWith("#/login")) goOn();
  if (detail === "out") location.hash = "#/login";
  tabs.postMessage(detail);
});
window.addEventListener("gauntlet:gone", ({ detail }) => {
  leaving.abort();
  current = null;
  document.getElementById("connection").hidden = true;
  sorry(detail);
});
window.addEventListener("gauntlet:login", () => {
  if (location.hash.startsWith("#/login")) return;
  if (current) {
    forget();
    kept = { ...current, nodes: [...main.childNodes], title: document.title };
    leaving = new AbortController();
  }
  location.hash = `#/login?then=${encodeURIComponent(location.hash.slice(2))}`;
});
// What was asked for a view that has been left is no fault.
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
});
window.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  const search = main.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});
show();
