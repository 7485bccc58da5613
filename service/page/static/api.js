// The only module that speaks to the API.

// What a reader can be told in its own words; anything else is a fault of the page.
export class Told extends Error {}

export class Refused extends Told {
  constructor(status, problem) {
    super(problem?.detail ?? `The service answered ${status}.`);
    this.status = status;
    this.errors = problem?.errors ?? [];
  }
}

// No answer of the service's: the network or the service is away, or a proxy says something in its place.
export class Unreachable extends Told {
  constructor() {
    super("The service does not answer. Try again in a moment.");
  }
}

// What the service may do a moment later, as once it is started anew: it is away, busy or at fault, or a proxy says so.
export const unanswered = (error) => error instanceof Unreachable || error.status === 429 || error.status >= 500;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const TRIES = 4;

async function answer(path, options) {
  const given = await fetch(path, { credentials: "same-origin", cache: "no-cache", ...options }).catch((error) => {
    throw error instanceof TypeError ? new Unreachable() : error;
  });
  if (given.ok) return given;
  throw refusal(given.status, await given.json().catch(() => null), given.headers.get("Retry-After"));
}

const json = (given) => given.json().catch((error) => {
  throw error.name === "AbortError" ? error : new Unreachable();
});

function refusal(status, problem, after) {
  if (status === 401) window.dispatchEvent(new Event("gauntlet:login"));
  const refused = new Refused(status, problem);
  refused.after = Number(after ?? 1);
  return refused;
}

// What is busy for a moment is asked again.
export async function get(path, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await json(await answer(path, { signal, headers: { Accept: "application/json" } }));
    } catch (error) {
      if (![429, 503].includes(error.status) || tries === TRIES) throw error;
      await sleep(Math.min(error.after, 5) * 1000);
    }
  }
}

export async function send(method, path, body, signal, more = {}) {
  const form = body instanceof FormData;
  const given = await answer(path, {
    method,
    signal,
    body: form || body === undefined ? body : JSON.stringify(body),
    headers: form || body === undefined ? more : { "Content-Type": "application/json", ...more },
  });
  return given.status === 204 ? null : json(given);
}

// A function that posts; the same after an answer that was lost is no second request.
export function poster() {
  let last = null;
  let key = null;
  return async (path, body) => {
    const text = `${path} ${JSON.stringify(body)}`;
    if (text !== last) {
      last = text;
      key = [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
    }
    const made = await send("POST", path, body, undefined, { "Idempotency-Key": key });
    last = null;
    return made;
  };
}

export const picture = async (path, signal) => (await answer(path, { signal })).blob();

// A form with a file that may be large: `sent` is told how many of its bytes are on their way, which fetch does not say.
export function upload(path, form, sent, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => sent(loaded, total);
    request.onload = () => {
      if (request.status >= 300) failed(refusal(request.status, request.response, request.getResponseHeader("Retry-After")));
      else if (request.response) done(request.response);
      else failed(new Unreachable());
    };
    request.onerror = () => failed(new Unreachable());
    request.onabort = () => failed(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// The first `most` objects of a list.
export async function all(path, signal, most = 1000) {
  const found = [];
  const url = new URL(path, location.origin);
  url.searchParams.set("limit", "100");
  for (;;) {
    const page = await get(url.pathname + url.search, signal);
    found.push(...page.data);
    if (!page.has_more || found.length >= most) return found;
    url.searchParams.set("after", page.next);
  }
}

export const query = (values) => {
  const pairs = Object.entries(values).flatMap(([key, value]) => [value].flat().map((each) => [key, each]));
  const written = new URLSearchParams(pairs.filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return written.size ? `?${written}` : "";
};

const EVERY_MS = 2000;
export const LONGEST_MS = 15000;
const SETTLE_MS = 400;
const NEWS = ["status", "epoch", "progress", "alarm"];

// Call `news` whenever something happens on the service. A stream takes one of the few connections that a browser has
// for a service, so a page that rests, as one that nobody sees, has none; `attend` is to be called when that changes.
function listen(news, signal, rests) {
  let stream = null;
  let timer = 0;
  const attend = () => {
    clearTimeout(timer);
    if (rests() || signal.aborted) {
      stream?.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource("/v1/events");
      for (const kind of NEWS) stream.addEventListener(kind, news);
      const current = stream;
      // Whether it is the network is found out by asking. A browser does not try a stream again that was refused, as
      // where too many are open or a proxy has no service behind it.
      stream.onerror = () => {
        news();
        if (current.readyState !== EventSource.CLOSED || stream !== current) return;
        stream = null;
        timer = setTimeout(attend, LONGEST_MS);
      };
    }
  };
  document.addEventListener("visibilitychange", attend, { signal });
  signal.addEventListener("abort", attend);
  attend();
  return { attend, isLive: () => stream?.readyState === EventSource.OPEN };
}

// A function that does the work, which is given a signal to ask with. Begun anew it ends what it still asks for: an
// answer may come late, and then is older than what was shown since. Who waited for that waits for what took its place.
export function latest(work, signal) {
  let round = null;
  let newest = null;
  signal.addEventListener("abort", () => round?.abort(signal.reason));
  return () => {
    round?.abort();
    const mine = (round = new AbortController());
    if (signal.aborted) mine.abort(signal.reason);
    newest = work(mine.signal).catch((error) => {
      if (mine === round || !(error instanceof Told || error.name === "AbortError")) throw error;
      return newest;
    });
    return newest;
  };
}

// A view that is kept fresh: `refresh` looks now, as where its reader has done something; `keep` does now, when something
// has happened, and now and then, until the signal. A look that fails for want of a network or a service is tried again,
// ever more seldom, and the page says so; a hidden page asks for nothing, nor does a view whose reader is asked for a
// token, until it is taken up again. A view whose subject is gone, twice in a row, as where it was deleted in another
// tab, ends as one that has never been.
export function fresh(look, signal) {
  const refresh = latest(look, signal);
  return { refresh, keep: () => keepFresh(refresh, signal) };
}

function keepFresh(refresh, signal) {
  let timer = 0;
  let wait = EVERY_MS;
  let going = false;
  let again = false;
  let shown = false;
  let missed = false;
  let isOut = false;
  let stream = null;
  const connection = document.getElementById("connection");
  function soon(ms) {
    clearTimeout(timer);
    if (!signal.aborted && !isOut) timer = setTimeout(round, ms);
  }
  async function round() {
    clearTimeout(timer);
    if (signal.aborted || isOut) return;
    if (going) {
      again = true;
      return;
    }
    going = true;
    again = false;
    try {
      const rest = document.hidden ? null : await refresh();
      wait = rest === "done" || stream?.isLive() ? LONGEST_MS : EVERY_MS;
      shown = true;
      missed = false;
      connection.hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      const answered = !unanswered(error);
      // Nothing is shown yet, so the frame says why; a fault of the page is no fault of the network.
      if (!shown && error instanceof Refused) throw error;
      if (!(error instanceof Told)) throw error;
      if (error.status === 404) {
        if (missed) window.dispatchEvent(new CustomEvent("gauntlet:gone", { detail: error }));
        missed = true;
        again = true;
        return;
      }
      wait = Math.min(Math.max(wait, EVERY_MS) * 1.5, LONGEST_MS);
      if (!answered) wait = Math.min(wait, EVERY_MS * 2);
      connection.textContent = answered ? error.message : "The service does not answer; what you see may be old. Trying again …";
      // Whoever is asked for a token looks at nothing old.
      connection.hidden = isOut;
    } finally {
      going = false;
      soon(again ? SETTLE_MS : wait);
    }
  }
  window.addEventListener("online", round, { signal });
  window.addEventListener("offline", round, { signal });
  document.addEventListener("visibilitychange", round, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  const first = round();
  stream = listen(() => (going ? (again = true) : soon(SETTLE_MS)), signal, () => document.hidden || isOut);
  const turn = (out) => () => {
    isOut = out;
    connection.hidden = true;
    stream.attend();
    round();
  };
  window.addEventListener("gauntlet:login", turn(true), { signal });
  window.addEventListener("gauntlet:back", turn(false), { signal });
  return first;
}
