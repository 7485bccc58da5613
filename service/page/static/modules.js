// The modules of the views: fetched before they are wanted, and with the whole page once more where that failed.

import { LONGEST_MS, Told } from "./api.js";
import { h } from "./dom.js";

const A_MINUTE_MS = 60000;

// A browser does not try again what it could not fetch of a module, as where the network changed under it: only the page
// loaded anew has it.
export class Unfetched extends Told {
  constructor(cause) {
    super("Part of the page could not be loaded.", { cause });
  }
}

const modulesOf = (template) => template.dataset.modules.split(" ").map((each) => `/page/${each}`);

// Modules are fetched together, not one by one as they import each other. A browser has six connections, so those of other
// views come when this one has what it asked for; then they are there without a network.
const preloaded = new Set();
export function preload(template) {
  for (const module of modulesOf(template)) {
    if (preloaded.has(module)) continue;
    preloaded.add(module);
    document.head.append(h("link", { rel: "modulepreload", href: module }));
  }
}

export const load = (name) => import(`/page/${name}.js`).catch((error) => {
  // What browsers say of one that they did not get has no code, and no other TypeError names modules.
  throw error instanceof TypeError && /module/i.test(error.message) ? new Unfetched(error) : error;
});

// Whether the service sends the page and what a view is made of, and nothing else does in its place.
export async function isSent(template) {
  const signal = AbortSignal.timeout(LONGEST_MS);
  const sent = (path, type) => fetch(path, { signal, cache: "no-cache", headers: { Accept: type } }).then(({ ok, headers }) => ok && headers.get("Content-Type")?.includes(type), () => false);
  const answers = await Promise.all([sent(location.pathname, "text/html"), ...modulesOf(template).map((each) => sent(each, "text/javascript"))]);
  return answers.every(Boolean);
}

// Load the page anew, but not again and again where that does not help.
export function anew() {
  const now = Date.now();
  if (now - Number(sessionStorage.getItem("anew") ?? 0) < A_MINUTE_MS) return;
  sessionStorage.setItem("anew", now);
  location.reload();
}
