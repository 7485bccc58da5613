// More of an experiment that has ended: its report on more test images, or the same trained longer.

import { send } from "./api.js";
import { submitted } from "./actions.js";
import { announce, h } from "./dom.js";
import { counted } from "./words.js";

// The last evaluation of each checkpoint that the report stands on.
function reported(evaluations) {
  const found = new Map();
  for (const each of evaluations) if (each.status === "succeeded" && !found.has(each.checkpoint)) found.set(each.checkpoint, each);
  return [...found.values()];
}

export function extension({ experiment, evaluations, fault, refresh }) {
  const measured = reported(evaluations);
  const samples = Math.max(0, ...measured.map((each) => each.spec.samples));
  const onsubmit = (event) => {
    const wanted = Number(new FormData(event.target).get("samples"));
    return submitted(event.submitter, fault, async () => {
      for (const each of measured) await send("POST", "/v1/evaluations", { ...each.spec, checkpoint: each.checkpoint, samples: wanted });
      announce(`${counted(measured.length, "evaluation")} on ${wanted} images: queued.`);
      await refresh();
    });
  };
  const { epochs } = experiment.spec.training;
  return h("details", { class: "menu", "data-key": "extend" }, h("summary", { class: "button" }, "Extend"), h("div", {},
    measured.length ? h("form", { class: "tools", onsubmit },
      h("label", { class: "field" }, h("span", {}, "Test images"), h("input", { name: "samples", type: "number", min: samples + 1, max: 1000000, value: samples * 2, required: true })),
      h("button", { class: "primary" }, "Measure on more images"),
      h("p", { class: "soft" }, `Measured on ${samples.toLocaleString("en")} so far. Full batches are not attacked again; the report takes the new numbers once it has them for every row.`)) : null,
    h("a", { href: `#/new?like=${experiment.id}&epochs=${epochs * 2}` }, `Train it for ${(epochs * 2).toLocaleString("en")} epochs`)));
}
