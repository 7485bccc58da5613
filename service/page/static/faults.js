// What the service refuses of a form, beside the fields that it is about.

import { h } from "./dom.js";

const fieldsOf = (form) => [...form.querySelectorAll("[data-path]")].filter((each) => each.closest("[hidden]") === null);
// Where a fault stands, below the field with its label.
const around = (field) => field.closest("label.field, .drop") ?? field;

export function forget(form) {
  for (const told of form.querySelectorAll(".refused")) told.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) well(field);
}

function well(field) {
  field.removeAttribute("aria-invalid");
  field.removeAttribute("aria-errormessage");
}

// Put each error beside its field, and go to the first; what is about none of them comes back.
export function refuse(form, errors) {
  forget(form);
  const fields = fieldsOf(form);
  const rest = [];
  const faulty = new Map();
  for (const { pointer, message } of errors) {
    const about = fields.filter(({ dataset: { path } }) => pointer === path || pointer.startsWith(`${path}/`));
    const field = about.sort((one, other) => other.dataset.path.length - one.dataset.path.length)[0];
    if (field) faulty.set(field, [...(faulty.get(field) ?? []), message]);
    else rest.push(`${pointer} ${message}`.trim());
  }
  for (const [field, messages] of faulty) {
    const told = h("p", { class: "fault refused", id: `refused${field.dataset.path.replaceAll("/", "-")}` }, messages.join(" "));
    around(field).after(told);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", told.id);
    field.addEventListener("input", () => {
      told.remove();
      well(field);
    }, { once: true });
  }
  fields.find((each) => faulty.has(each))?.focus();
  return rest;
}
