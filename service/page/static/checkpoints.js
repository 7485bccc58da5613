// Every set of weights that was kept or imported.

import { all, query } from "./api.js";
import { h } from "./dom.js";
import { Table } from "./tables.js";
import { age, bytes, counted, percent, titled } from "./words.js";

export const title = "Checkpoints";

const MOST = 500;
const data = (one) => one.card.dataset.folder ?? one.card.dataset.title ?? one.card.dataset.name;

const COLUMNS = [
  { key: "name", title: "Checkpoint", class: "name", value: (one) => one.name, cell: (one) => [h("a", { href: `#/checkpoints/${one.id}` }, one.name), h("small", { class: "id" }, one.id)] },
  { key: "from", title: "From", value: (one) => one.experiment ?? "", cell: (one) => (one.experiment ? h("a", { href: `#/experiments/${one.experiment}` }, "experiment") : "imported") },
  { key: "data", title: "Data", value: data, cell: data },
  { key: "network", title: "Network", value: (one) => one.card.architecture.kind, cell: (one) => titled(one.card.architecture.kind), wanted: "wide" },
  { key: "epoch", title: "Epoch", class: "n", value: (one) => one.epoch, cell: (one) => one.epoch ?? "–" },
  { key: "test", title: "Test, %", class: "n", value: (one) => one.metrics.test_accuracy ?? null, cell: (one) => percent(one.metrics.test_accuracy) },
  { key: "fgsm", title: "FGSM, %", class: "n", value: (one) => one.metrics.test_fgsm_accuracy ?? null, cell: (one) => percent(one.metrics.test_fgsm_accuracy) },
  { key: "bytes", title: "Size", class: "n", value: (one) => one.bytes, cell: (one) => bytes(one.bytes), wanted: "wide" },
  { key: "age", title: "Age", class: "n", value: (one) => -Date.parse(one.created_at), cell: (one) => age(one.created_at) },
  { key: "attack", title: "", class: "nowrap", cell: (one) => h("a", { href: `#/attack?checkpoint=${one.id}`, "aria-label": `Attack ${one.name}` }, "Attack it") },
];

export async function show({ parts, search, signal }) {
  const run = search.get("run");
  const found = await all(`/v1/checkpoints${query({ run })}`, signal, MOST);
  const table = new Table(parts.table, COLUMNS, { name: "checkpoints", label: "Checkpoints" });
  parts.lead.textContent = run ? `What the run ${run} kept.` : found.length ? "Weights that training kept, or that were brought from elsewhere." : "There are none yet: a run keeps its weights after some epochs.";
  const list = () => {
    const wanted = parts.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = found.filter((one) => wanted.every((word) => `${one.name} ${one.id} ${one.experiment} ${one.run} ${data(one)} ${one.card.architecture.kind}`.toLowerCase().includes(word)));
    table.show(rows);
    parts.more.textContent = rows.length < found.length ? `${rows.length} of ${counted(found.length, "checkpoint")}.` : "";
  };
  parts.filter.oninput = list;
  list();
}
