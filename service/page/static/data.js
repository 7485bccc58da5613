// Data sets: what there is, with pictures and counts, and an archive of one's own.

import { actor, enable, submitted } from "./actions.js";
import { all, fresh, get, Refused } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { onFile, sendFile } from "./files.js";
import { bar, status } from "./jobs.js";
import { age, bytes } from "./words.js";

export const title = "Data sets";
// The archive and its name are still there after a login.
export const keeps = true;

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

const MOST_LOOKED_AT = 30;
const MOST_CLASSES = 100;
const MOST_PICTURES = 24;

const counts = (split) => new Map((split?.classes ?? []).map((each) => [each.name, each.images]));

// Its classes with how many images each has, unfolded on demand.
function classes(details) {
  const { train, test } = details.description ?? {};
  const [training, testing] = [counts(train), counts(test)];
  const names = [...new Set([...training.keys(), ...testing.keys()])];
  if (!names.length) return null;
  const told = (name) => [train ? `${number(training.get(name))} for training` : null, test ? `${number(testing.get(name))} for test` : null].filter(Boolean).join(", ");
  return h("details", { "data-key": "classes" }, h("summary", {}, "Images of each class"),
    h("dl", { class: "pair" }, names.slice(0, MOST_CLASSES).map((name) => [h("dt", {}, name), h("dd", {}, told(name))])),
    names.length > MOST_CLASSES ? h("p", { class: "soft" }, `The first ${MOST_CLASSES} of ${number(names.length)}.`) : null);
}

// One of each class first, then more of each.
function chosen(thumbnails) {
  const first = new Map();
  for (const each of thumbnails) if (!first.has(each.label)) first.set(each.label, each);
  return [...first.values(), ...thumbnails.filter((each) => first.get(each.label) !== each)].slice(0, MOST_PICTURES);
}

const pictures = (details) => (details.thumbnails.length ? h("div", { class: "thumbnails", "data-key": "pictures" },
  chosen(details.thumbnails).map((each) => h("img", { src: each.path, alt: `${each.label}: ${each.image}`, title: each.label, loading: "lazy", height: 32 }))) : null);

export async function show({ parts, signal }) {
  const known = new Map();
  let archive = null, named = null;
  const nothing = parts.told.textContent;
  const act = actor(parts.fault, () => refresh());

  const remove = (one) => act({ method: "DELETE", at: `/v1/datasets/${one.id}`, words: "The data set is deleted.", ask: `Delete the data set “${one.name}” and its pictures?` });

  const row = (one) => h("tr", { "data-key": one.id },
    h("th", { scope: "row", class: "name" }, one.name, h("small", { class: "id" }, one.created_at ? one.id : one.spec.name), known.has(one.id) ? [pictures(known.get(one.id)), classes(known.get(one.id))] : null),
    h("td", { class: "nowrap" }, status({ ...one, status: one.status }), one.progress?.total ? bar(one.progress, `Unpacking ${one.name}`) : null, one.status_detail ? h("small", {}, one.status_detail) : null),
    h("td", { class: "n" }, number(one.classes)), h("td", { class: "n" }, number(one.train_images)), h("td", { class: "n" }, number(one.test_images)),
    h("td", { class: "n" }, one.bytes === null ? "–" : bytes(one.bytes)), h("td", {}, one.owner ?? "–"), h("td", { class: "n" }, one.created_at ? age(one.created_at) : "–"),
    h("td", {}, one.created_at ? h("button", { type: "button", class: "quiet small danger", "aria-label": `Delete ${one.name}`, onclick: () => remove(one) }, "Delete") : null));

  // All that is known of one is asked for once: of an upload it does not change, and a folder takes time to count.
  async function look(one, signal) {
    const details = await get(`/v1/datasets/${one.id}`, signal).catch((error) => {
      if (error instanceof Refused) return null;
      throw error;
    });
    if (details) known.set(one.id, details);
  }

  const { refresh, keep } = fresh(async (signal) => {
    const found = await all("/v1/datasets", signal, 500);
    const shown = () => fill(parts.table, h("thead", {}, h("tr", {}, [["Name"], ["Status"], ["Classes", "n"], ["Training", "n"], ["Test", "n"], ["Size", "n"], ["Owner"], ["Age", "n"], ["Do"]].map(([name, kind]) => h("th", { scope: "col", class: kind ?? null }, name)))),
      h("tbody", {}, found.map((one) => row(known.has(one.id) ? { ...known.get(one.id), owner: one.owner } : one))));
    shown();
    for (const one of found.filter((each) => each.status === "ready" && !known.has(each.id)).slice(0, MOST_LOOKED_AT)) {
      await look(one, signal);
      shown();
    }
    return found.some((one) => one.progress) ? null : "done";
  }, signal);

  function take(file) {
    archive = file;
    parts.told.textContent = `${file.name}, ${bytes(file.size)}`;
    if (!parts.name.value || parts.name.value === named) parts.name.value = named = file.name.replace(/\.(zip|tar|tgz|gz|bz2|xz)+$/, "").slice(0, 80);
    enable(parts.upload, true);
  }

  onFile(parts.drop, [parts.file], take);
  parts.form.onsubmit = () => submitted(parts.upload, parts.fault, async () => {
    const sent = archive;
    const given = new FormData(parts.form);
    const form = new FormData();
    form.append("name", given.get("name"));
    if (given.get("test_fraction")) form.append("test_fraction", given.get("test_fraction"));
    form.append("archive", sent, sent.name);
    await sendFile({ parts, path: "/v1/datasets", form, total: sent.size, then: "They are being looked through.", signal });
    announce("The archive is uploaded and is being unpacked.");
    // Unless the next one is chosen by now.
    if (archive === sent) {
      archive = null;
      parts.form.reset();
      parts.told.textContent = nothing;
      enable(parts.upload, false);
    }
    await refresh();
  });
  await keep();
}
