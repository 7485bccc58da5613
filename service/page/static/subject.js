// One checkpoint under attack: natural, perturbation and attacked beside each other, and what it takes them for.

import { swatch } from "./charts.js";
import { h, s } from "./dom.js";
import { percent } from "./words.js";

const MOST_CLASSES = 5;

async function pixels(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  const canvas = h("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

export class Subject {
  // `one` is a classification of the API with its attack.
  static async of(one, checkpoint, place) {
    const { attack } = one;
    const pictures = await Promise.all([attack.picture, ...attack.budgets.map((each) => each.picture)].map(pixels));
    return new Subject(one, checkpoint, place, pictures);
  }

  constructor(one, checkpoint, place, pictures) {
    const { attack } = one;
    const share = (probabilities) => probabilities.find((each) => each.label === attack.right).probability;
    this.place = place;
    this.pictures = pictures;
    this.right = attack.right;
    this.grey = checkpoint?.card.image_shape[0] === 1;
    this.name = checkpoint?.name ?? one.checkpoint;
    this.steps = [{ eps: "0", label: one.label, probabilities: one.probabilities }, ...attack.budgets].map((each) => ({ ...each, right: share(each.probabilities) }));
    this.smallest = attack.smallest_eps === null ? null : this.steps.find((each) => each.eps === attack.smallest_eps);
    this.build(one);
  }

  build(one) {
    const [natural] = this.pictures;
    const canvas = (label) => h("canvas", { width: natural.width, height: natural.height, role: "img", "aria-label": label });
    this.canvases = [canvas("natural"), canvas("perturbation"), canvas("attacked")];
    this.captions = [h("figcaption", {}), h("figcaption", {}), h("figcaption", {})];
    this.likely = h("dl", { class: `likely c${this.place % 8}` });
    this.element = h("article", { class: "subject" },
      h("header", {}, h("h3", {}, swatch(this.place), h("a", { href: `#/checkpoints/${one.checkpoint}` }, this.name)), h("span", { class: this.smallest ? "fooled" : "withstands" }, this.sentence(true)),
        h("small", { class: "id", title: `sha256 of the weights: ${one.attack.weights_sha256}` }, `weights ${one.attack.weights_sha256.slice(0, 12)}`)),
      h("div", { class: "triptych" }, this.canvases.map((each, place) => h("figure", {}, each, this.captions[place]))), this.likely);
    this.canvases[0].getContext("2d").putImageData(natural, 0, 0);
    this.captions[0].textContent = `natural: ${one.label}, ${percent(one.probability)} %`;
  }

  sentence(alone = false) {
    const told = this.smallest ? `fooled from ε = ${this.smallest.eps}: takes it for ${this.smallest.label}` : `withstands up to ε = ${this.steps.at(-1).eps}`;
    return alone ? told : `${this.name}: ${told}.`;
  }

  look(step) {
    const { label, probabilities } = this.steps[step];
    const top = Math.max(...probabilities.map((each) => each.probability));
    this.canvases[2].getContext("2d").putImageData(this.pictures[step], 0, 0);
    const { image, times } = this.difference(step);
    this.canvases[1].getContext("2d").putImageData(image, 0, 0);
    this.captions[1].textContent = times ? `perturbation × ${times}` : "no perturbation";
    this.captions[2].textContent = `attacked: ${label}, ${percent(top)} %`;
    this.captions[2].className = label === this.right ? "" : "fooled";
    const first = this.steps[0].probabilities.slice(0, MOST_CLASSES).map((each) => each.label);
    const shown = [...new Set([this.right, ...probabilities.slice(0, 2).map((each) => each.label), ...first])].slice(0, MOST_CLASSES);
    const share = new Map(probabilities.map((each) => [each.label, each.probability]));
    this.likely.replaceChildren(...shown.flatMap((name) => [
      h("dt", { class: name === this.right ? "right" : null, title: name }, name),
      h("dd", { class: name === label ? "is" : null }, s("svg", { viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { width: Math.max(0.5, share.get(name) * 100).toFixed(2), height: 9 }))),
      h("dd", { class: "n" }, `${percent(share.get(name))} %`)]));
  }

  // Attacked minus natural, amplified so that its largest change is clearly seen: up is orange, down is blue; in colour
  // each channel around grey.
  difference(step) {
    const before = this.pictures[0].data, after = this.pictures[step].data;
    const image = new ImageData(this.pictures[0].width, this.pictures[0].height);
    let most = 0;
    for (let at = 0; at < before.length; at += 1) most = Math.max(most, Math.abs(after[at] - before[at]));
    const times = most ? Math.max(1, Math.floor(120 / most)) : 0;
    for (let at = 0; at < before.length; at += 4) {
      const change = [0, 1, 2].map((channel) => (after[at + channel] - before[at + channel]) * times);
      if (this.grey) {
        const [up, down] = [Math.max(0, change[0]), Math.max(0, -change[0])];
        image.data.set([128 + up - down * 0.75, 128 + up * 0.25 - down * 0.1, 128 - up * 0.8 + down, 255], at);
      } else image.data.set([...change.map((each) => 128 + each), 255], at);
    }
    return { image, times };
  }
}
