// Curves over two axes, as SVG: mean and band per series, single runs faintly, a cursor for mouse, finger and keys.

import { fill, h, s } from "./dom.js";
import { percent } from "./words.js";

// Letters keep their size: what a phone shows is drawn narrower, not smaller.
const WIDTH = window.innerWidth < 640 ? 370 : 560;
const HEIGHT = 236, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 24;
// A ring around a disc shows both: the best epoch may be the last.
const RADII = { mark: 5.5, last: 3 };
function sign(kind, x, y, told) {
  const title = s("title", {}, told);
  if (kind === "alarm") return s("path", { class: kind, d: `M${x} ${(y - 7).toFixed(1)}l6.5 11.5h-13Z` }, title);
  return s("circle", { class: kind, cx: x, cy: y.toFixed(1), r: RADII[kind] }, title);
}
export const DASHES = ["", "7 4", "2 3", "9 3 2 3", "5 2", "1 4", "12 4", "3 2"];
export const dash = (place) => DASHES[(place + (place >= 8 ? 1 : 0)) % 8] || null;

function step(low, high, most = 5) {
  const rough = (high - low || 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
}

function ticks(low, high, most) {
  const by = step(low, high, most);
  const found = [];
  for (let at = Math.ceil(low / by - 1e-9); at * by <= high + by * 1e-9; at += 1) found.push(at * by);
  return found;
}

const plain = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

export function swatch(place) {
  return s("svg", { class: `swatch c${place % 8}`, viewBox: "0 0 24 8", "aria-hidden": "true" },
    s("line", { x1: 0, y1: 4, x2: 24, y2: 4, "stroke-dasharray": dash(place) }));
}

// Where the reader's cursor is, by figure, so that it stays when news is drawn.
const cursors = new Map();

// A figure. `series` are {name, place, points: [[x, y]], band: [[x, low, high]], seeds: [[[x, y]]], marks: [[x, y, words]], dots}.
export function chart({ key, title, across, share = true, series, words, whole = true, ends = null, named = false }) {
  const version = `${title}${JSON.stringify(series)}`;
  const figure = h("figure", { "data-key": key, "data-version": `${version.length}:${hash(version)}` });
  const readout = h("output", {});
  const xs = series.flatMap((each) => each.points.map(([x]) => x));
  if (!xs.length) return h("figure", { "data-key": key }, h("figcaption", {}, title), h("p", { class: "soft" }, "Nothing has been measured yet."));
  const ys = series.flatMap((each) => [...each.points.map(([, y]) => y), ...(each.band ?? []).flatMap(([, low, high]) => [low, high]), ...(each.seeds ?? []).flat().map(([, y]) => y), ...(each.marks ?? []).map(([, y]) => y)]).filter(Number.isFinite);
  const [left, right] = ends ?? [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)];
  let bottom = ys.reduce((a, b) => Math.min(a, b)), top = ys.reduce((a, b) => Math.max(a, b));
  if (share) bottom = 0;
  const by = step(bottom, top);
  bottom = Math.floor(bottom / by + 1e-9) * by;
  top = share ? Math.min(1, Math.ceil(top / by - 1e-9) * by || 1) : Math.ceil(top / by - 1e-9) * by;
  if (top === bottom) top += by;
  const x = (value) => LEFT + ((value - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const written = share ? (value) => `${Math.round(value * 100)}` : plain;
  const line = (points) => points.map(([at, value], place) => `${place ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const content = [
    ticks(bottom, top).map((value) => [s("path", { class: "grid", d: `M${LEFT} ${y(value).toFixed(1)}H${WIDTH - RIGHT}` }), s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, written(value))]),
    ticks(left, right, 6).filter((value) => !whole || Number.isInteger(value)).map((value) => s("text", { x: x(value), y: HEIGHT - 7, "text-anchor": "middle" }, plain(value))),
    s("text", { x: LEFT - 10, y: HEIGHT - 7, "text-anchor": "end" }, across),
  ];
  for (const [nth, each] of series.entries()) {
    const parts = [];
    // Whiskers at the same place stand beside each other.
    const aside = (nth - (series.length - 1) / 2) * 3;
    if (each.band?.length > 1) parts.push(s("path", { class: "band", d: `${line(each.band.map(([at, low]) => [at, low]))}${line([...each.band].reverse().map(([at, , high]) => [at, high])).replace("M", "L")}Z` }));
    for (const seed of each.seeds ?? []) parts.push(s("path", { class: "seed", d: line(seed), "stroke-dasharray": dash(each.place) }));
    for (const [at, low, high] of each.whiskers ?? []) parts.push(s("path", { class: "whisker", d: `M${(x(at) + aside).toFixed(1)} ${y(low).toFixed(1)}V${y(high).toFixed(1)}` }));
    parts.push(s("path", { class: "line", d: line(each.points), "stroke-dasharray": dash(each.place) }));
    for (const [at, value, told, kind] of each.marks ?? []) parts.push(sign(kind ?? "mark", (x(at) + (each.whiskers ? aside : 0)).toFixed(1), y(value), told));
    content.push(s("g", { class: `c${each.place % 8}` }, parts));
  }
  const cursor = s("path", { class: "cursor", d: "" });
  const drawing = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0, "aria-label": `${title} over ${across}. ${words}` }, content, cursor);
  const known = [...new Set(xs)].sort((one, other) => one - other);
  const point = (value) => {
    cursors.set(key, value);
    cursor.setAttribute("d", value === null ? "" : `M${x(value).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
    fill(readout, value === null ? "" : `${across} ${plain(value)}: ${series.map((each) => told(each, value, share, series.length)).filter(Boolean).join(" · ")}`);
  };
  drawing.onpointermove = (event) => {
    const box = drawing.getBoundingClientRect();
    const value = left + (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * (right - left);
    point(known.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best)));
  };
  drawing.onpointerleave = () => point(null);
  drawing.onkeydown = (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const at = cursors.get(key) ?? null;
    point(known[Math.min(known.length - 1, Math.max(0, (at === null ? -1 : known.indexOf(at)) + moves[event.key]))]);
  };
  if (known.includes(cursors.get(key))) point(cursors.get(key));
  const names = named ? h("ul", { class: "legend plain" }, series.map((each) => h("li", {}, swatch(each.place), each.name))) : "";
  figure.append(h("figcaption", {}, h("span", {}, title), readout), names, drawing, h("details", { class: "words" }, h("summary", {}, "In words"), h("p", {}, words)));
  return figure;
}

function hash(text) {
  let found = 0;
  for (let place = 0; place < text.length; place += 1) found = (Math.imul(found, 31) + text.charCodeAt(place)) | 0;
  return found;
}

function told(each, value, share, many) {
  const found = each.points.find(([x]) => x === value);
  if (!found) return "";
  const amount = share ? `${percent(found[1])} %` : plain(found[1]);
  return many > 1 ? `${each.short ?? each.name} ${amount}` : amount;
}
