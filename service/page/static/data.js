// Data sets: what there is, and an archive of one's own.

import { all, keepFresh, Refused, send } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { bar, status } from "./jobs.js";
import { age, bytes } from "./words.js";

export const title = "Data sets";

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export async function show({ parts, signal }) {
  let archive = null;

  async function tried(work) {
    parts.fault.hidden = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
      parts.fault.textContent = [error.message, ...(error.errors ?? []).map((each) => each.message)].join(" ");
      parts.fault.hidden = false;
    }
  }

  const remove = (one) => tried(async () => {
    if (!window.confirm(`Delete the data set “${one.name}” and its pictures?`)) return;
    await send("DELETE", `/v1/datasets/${one.id}`);
    announce("The data set is deleted.");
    await refresh();
  });

  const row = (one) => h("tr", { "data-key": one.id },
    h("th", { scope: "row", class: "name" }, one.name, h("small", { class: "id" }, one.created_at ? one.id : one.spec.name)),
    h("td", { class: "nowrap" }, status({ ...one, status: one.status }), one.progress?.total ? bar(one.progress, `Unpacking ${one.name}`) : null, one.status_detail ? h("small", {}, one.status_detail) : null),
    h("td", { class: "n" }, number(one.classes)), h("td", { class: "n" }, number(one.train_images)), h("td", { class: "n" }, number(one.test_images)),
    h("td", { class: "n" }, one.bytes === null ? "–" : bytes(one.bytes)), h("td", {}, one.owner ?? "–"), h("td", { class: "n" }, one.created_at ? age(one.created_at) : "–"),
    h("td", {}, one.created_at ? h("button", { type: "button", class: "quiet small danger", "aria-label": `Delete ${one.name}`, onclick: () => remove(one) }, "Delete") : null));

  async function refresh() {
    const found = await all("/v1/datasets", signal, 500);
    fill(parts.table, h("thead", {}, h("tr", {}, [["Name"], ["Status"], ["Classes", "n"], ["Training", "n"], ["Test", "n"], ["Size", "n"], ["Owner"], ["Age", "n"], ["Do"]].map(([name, kind]) => h("th", { scope: "col", class: kind ?? null }, name)))), h("tbody", {}, found.map(row)));
    return found.some((one) => one.progress) ? null : "done";
  }

  function take(file) {
    archive = file;
    parts.told.textContent = `${file.name}, ${bytes(file.size)}`;
    if (!parts.name.value) parts.name.value = file.name.replace(/\.(zip|tar|tgz|gz|bz2|xz)+$/, "").slice(0, 80);
    parts.upload.disabled = false;
  }

  parts.file.onchange = () => parts.file.files.length && take(parts.file.files[0]);
  parts.drop.ondragover = (event) => event.preventDefault();
  parts.drop.ondrop = (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  };
  parts.form.onsubmit = (event) => {
    event.preventDefault();
    return tried(async () => {
      parts.upload.disabled = true;
      const given = new FormData(parts.form);
      const form = new FormData();
      form.append("name", given.get("name"));
      if (given.get("test_fraction")) form.append("test_fraction", given.get("test_fraction"));
      form.append("archive", archive, archive.name);
      try {
        await send("POST", "/v1/datasets", form, signal);
        announce("The archive is uploaded and is being unpacked.");
        await refresh();
      } finally {
        parts.upload.disabled = false;
      }
    });
  };
  await keepFresh(refresh, signal);
}
