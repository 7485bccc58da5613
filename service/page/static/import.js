// Weights that were trained elsewhere: what they are of, what became of their tensors, and what to do with them next.

import { enable, submitted, tried } from "./actions.js";
import { all, get, Refused } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { forget, refuse } from "./faults.js";
import { numeric } from "./evaluating.js";
import { onFile, sendFile } from "./files.js";
import { headerOf } from "./tensors.js";
import { bytes, capital, counted, titled } from "./words.js";

export const title = "Import a checkpoint";
// The file and what was said of it are still there after a login.
export const keeps = true;

const NORMALISED = {
  "": ["no: it takes images in [0, 1]"],
  cifar10: ["as most do for CIFAR-10", "0.4914, 0.4822, 0.4465", "0.247, 0.2435, 0.2616"],
  imagenet: ["as torchvision does for ImageNet", "0.485, 0.456, 0.406", "0.229, 0.224, 0.225"],
  other: ["with numbers of its own", "", ""],
};
// Of a data set, what says nothing of a model that was made for it.
const UNASKED = new Set(["train_samples", "title", "folder", "id", "image", "label"]);
const numbers = (text) => text.split(",").map(numeric).filter((each) => each !== "");

// One field of a network or a data set, as the catalogue has it; null where it is not asked for here.
function ofCatalogue(field, path, value) {
  const attributes = { "data-path": `${path}/${field.name}`, "data-name": field.name, title: field.description || null };
  const given = value ?? field.default;
  let asked;
  if (field.choices.length) asked = h("select", attributes, field.choices.map((each) => h("option", { selected: each === given }, each)));
  else if (/^(integer|number)$/.test(field.type)) asked = h("input", { ...attributes, inputmode: "decimal", size: 6, value: given });
  else if (field.type === "string" && (field.required || given)) asked = h("input", { ...attributes, size: 14, value: given });
  else if (field.type === "boolean") return h("label", {}, h("input", { ...attributes, type: "checkbox", checked: given === true }), capital(titled(field.name)));
  else return null;
  return h("label", { class: "field" }, h("span", {}, capital(titled(field.name))), asked);
}

// What those fields hold.
function said(part, fields) {
  const typeOf = Object.fromEntries(fields.map((each) => [each.name, each.type]));
  return Object.fromEntries([...part.querySelectorAll("[data-name]")].map((each) => {
    const { name } = each.dataset;
    if (each.type === "checkbox") return [name, each.checked];
    return [name, typeOf[name] === "string" ? each.value.trim() : numeric(each.value)];
  }));
}

export async function show({ parts, signal }) {
  let weights = null, named = null;
  // Of what is chosen: its entry in the catalogue, and of a data set that is there its spec and its classes.
  let network = null, data = null, classes = null;
  const nothing = parts.told.textContent;
  fill(parts.normalised, Object.entries(NORMALISED).map(([key, [words]]) => h("option", { value: key }, words)));
  parts.normalised.onchange = () => normalise(parts.normalised.value);
  normalise("");
  onFile(parts.drop, [parts.file], (file) => tried(parts.fault, () => take(file)));
  const [catalog, listed] = await Promise.all([get("/v1/catalog", signal), all("/v1/datasets", signal, 200)]);
  fill(parts.architecture, catalog.architectures.map((one) => h("option", { value: one.name }, titled(one.name))));
  // What is there can be evaluated at once; of others the classes are known, and the images can come later.
  const there = listed.filter((one) => one.spec && one.status === "ready");
  const away = catalog.datasets.filter((one) => !one.fields.some((each) => each.required && !each.choices.length && each.type === "string") && !there.some(({ spec }) => spec.name === one.name));
  const choices = new Map([...there.map((one) => [one.id, one]), ...away.map((one) => [one.name, { spec: { name: one.name } }])]);
  fill(parts.data, there.map((one) => h("option", { value: one.id }, one.name)), away.map((one) => h("option", { value: one.name }, `${titled(one.name)}, whose images are not here`)));
  parts.architecture.onchange = () => chooseNetwork();
  parts.data.onchange = () => chooseData();
  chooseNetwork();
  chooseData();
  if (weights) await take(weights);

  function chooseNetwork(values = {}) {
    network = catalog.architectures.find((one) => one.name === parts.architecture.value);
    parts.aboutArchitecture.textContent = network.description;
    parts.ofArchitecture.replaceChildren(...network.fields.map((each) => ofCatalogue(each, "/card/architecture", values[each.name])).filter(Boolean));
  }

  function chooseData(values = {}) {
    const one = choices.get(parts.data.value);
    data = { ...one, fields: catalog.datasets.find((each) => each.name === one.spec.name).fields };
    classes = null;
    parts.ofData.replaceChildren(...data.fields.filter((each) => !UNASKED.has(each.name)).map((each) => ofCatalogue(each, "/card/dataset", values[each.name] ?? one.spec[each.name])).filter(Boolean));
    parts.classes.textContent = "";
    if (one.id) return tried(parts.fault, () => lookAt(one));
    return null;
  }

  // Its classes, which are the model's outputs.
  async function lookAt(one) {
    const { description } = await get(`/v1/datasets/${one.id}`, signal);
    if (data.id !== one.id || !description) return;
    const names = (description.test ?? description.train)?.classes.map((each) => each.name);
    if (!names) return;
    if (["uploaded", "image_folder", "parquet"].includes(one.spec.name)) classes = names;
    parts.classes.textContent = `The network's ${counted(names.length, "output")} stand for ${names.length > 20 ? `${names.slice(0, 20).join(", ")} …` : names.join(", ")}, in this order.`;
  }

  function normalise(how, mean, std) {
    const [, ...known] = NORMALISED[how];
    parts.normalised.value = how;
    parts.mean.value = mean ?? known[0] ?? "";
    parts.std.value = std ?? known[1] ?? "";
    for (const field of [parts.mean, parts.std]) field.closest("label").hidden = !known.length;
  }

  async function take(file) {
    weights = file;
    parts.told.textContent = `${file.name}, ${bytes(file.size)}`;
    if (!parts.name.value || parts.name.value === named) parts.name.value = named = file.name.replace(/\.\w+$/, "").slice(0, 100);
    forget(parts.form);
    enable(parts.submit, false);
    const header = await headerOf(file);
    if (weights !== file) return;
    if (header.fault) {
      refuse(parts.form, [{ pointer: "/weights", message: `${file.name} ${header.fault}` }]);
      return;
    }
    enable(parts.submit, Boolean(network));
    parts.told.textContent += `, ${counted(header.tensors, "tensor")}`;
    if (header.card && network) recall(header.card);
  }

  // A checkpoint of some Gauntlet's says what it is.
  function recall({ architecture, dataset, normalisation }) {
    if (!catalog.architectures.some((one) => one.name === architecture?.kind)) return;
    parts.architecture.value = architecture.kind;
    chooseNetwork(architecture);
    const same = [...choices].find(([, { spec }]) => spec.name === dataset?.name && spec.folder === dataset.folder && spec.id === dataset.id);
    if (same) {
      [parts.data.value] = same;
      chooseData(dataset);
    }
    if (normalisation) normalise("other", ...normalisation);
    else normalise("");
    parts.told.textContent += ". What it is of stands in it, and is filled in below";
  }

  parts.form.onsubmit = () => submitted(parts.submit, parts.fault, async () => {
    const sent = weights;
    forget(parts.form);
    parts.done.hidden = true;
    const card = {
      name: parts.name.value.trim(),
      source: parts.source.value.trim(),
      architecture: { kind: network.name, ...said(parts.ofArchitecture, network.fields) },
      dataset: { ...data.spec, ...said(parts.ofData, data.fields) },
      ...(classes ? { classes } : {}),
      ...(parts.normalised.value ? { normalisation: { mean: numbers(parts.mean.value), std: numbers(parts.std.value) } } : {}),
    };
    const form = new FormData();
    form.append("card", JSON.stringify(card));
    form.append("weights", sent, sent.name);
    try {
      tell(await sendFile({ parts, path: "/v1/checkpoints", form, total: sent.size, then: "The network is being tried on noise.", signal }), sent);
    } catch (error) {
      // What is refused of one file is no fault of the next, whose fields these may be by now.
      if (!(error instanceof Refused) || !error.errors.length || weights !== sent) throw error;
      const rest = refuse(parts.form, error.errors);
      announce(error.message);
      if (rest.length) throw new Refused(error.status, { detail: rest.join(" ") });
    }
  });

  // What became of it; the form is ready for the next one, or has it by now.
  function tell(made, sent) {
    const isNext = weights !== sent;
    if (!isNext) {
      weights = null;
      parts.told.textContent = nothing;
      parts.name.value = "";
      enable(parts.submit, false);
    }
    parts.doneTitle.textContent = `“${made.name}” is imported`;
    parts.became.replaceChildren(...became(made));
    parts.next.replaceChildren(
      h("a", { class: "button primary", href: `#/checkpoints/${made.id}?evaluate` }, "Evaluate it"),
      h("a", { class: "button", href: `#/attack?checkpoint=${made.id}` }, "Put it under attack"),
      h("a", { class: "button", href: `#/checkpoints/${made.id}` }, "Look at it"));
    parts.done.hidden = false;
    if (!isNext) {
      parts.done.scrollIntoView({ block: "nearest" });
      parts.done.focus({ preventScroll: true });
    }
    announce(`${made.name} is imported.`);
  }
}

function became({ renamed, left_out: leftOut, findings }) {
  const names = Object.entries(renamed);
  const idle = Map.groupBy(Object.keys(leftOut), (name) => leftOut[name]);
  return [
    names.length ? h("details", {}, h("summary", {}, `${counted(names.length, "tensor")} got other names`), h("dl", { class: "pair names" }, names.map(([theirs, ours]) => [h("dt", { class: "id" }, theirs), h("dd", { class: "id" }, ours)])))
      : h("p", {}, "Its tensors kept their names."),
    ...[...idle].map(([why, left]) => h("details", {}, h("summary", {}, `${counted(left.length, "tensor")} left out: ${why}`), h("ul", {}, left.map((each) => h("li", { class: "id" }, each))))),
    ...findings.map((each) => h("p", { class: "doubt" }, each.message)),
    h("p", { class: "soft" }, findings.length ? "Until that is cleared up, what is measured of it is suspect." : "Tried on noise, nothing looked wrong.", " Noise cannot show a wrong normalisation, nor classes in another order: the accuracy without an attack does."),
  ];
}
