// Tables that are sorted by a click on a heading, with columns that the reader chooses and that stay chosen.

import { fill, h } from "./dom.js";

const stored = (key) => JSON.parse(localStorage.getItem(key) ?? "null");

// A phone has room for less, until its reader wants more.
const isNarrow = window.matchMedia("(max-width: 40rem)").matches;
const isWanted = ({ wanted = true }) => (wanted === "wide" ? !isNarrow : wanted);

// `columns` are {key, title, cell(row), value(row)?, class?, wanted?}; a column with a value can be sorted by, and one that
// is wanted "wide" is not on a phone.
export class Table {
  constructor(element, columns, { name, label, row = (one) => one.id }) {
    Object.assign(this, { element, columns, name, row, label, rows: [] });
    this.sort = stored(`${name}.sort`);
    this.shown = new Set(stored(`${name}.columns`) ?? columns.filter(isWanted).map((each) => each.key));
  }

  show(rows) {
    this.rows = rows;
    const columns = this.columns.filter((each) => this.shown.has(each.key));
    const by = columns.find((each) => each.key === this.sort?.key && each.value);
    const sorted = by ? [...rows].sort((one, other) => this.order(by.value(one), by.value(other))) : rows;
    fill(this.element,
      h("caption", { class: "sr" }, this.label),
      h("thead", {}, h("tr", {}, columns.map((each) => this.heading(each)))),
      h("tbody", {}, sorted.map((one) => h("tr", { "data-key": this.row(one) }, columns.map((each, place) =>
        h(place ? "td" : "th", { class: each.class ?? null, scope: place ? null : "row" }, each.cell(one)))))));
  }

  order(one, other) {
    const sign = this.sort.descending ? -1 : 1;
    // What has no value comes last, whichever way.
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "string" ? one.localeCompare(other) : one - other);
  }

  heading(column) {
    const sorted = this.sort?.key === column.key ? (this.sort.descending ? "descending" : "ascending") : null;
    const attributes = { scope: "col", class: column.class ?? null, "aria-sort": column.value ? (sorted ?? "none") : null, title: column.told ?? null };
    const onclick = () => {
      this.sort = sorted === "descending" ? { key: column.key, descending: false } : sorted ? null : { key: column.key, descending: true };
      localStorage.setItem(`${this.name}.sort`, JSON.stringify(this.sort));
      this.show(this.rows);
    };
    return h("th", attributes, column.value ? h("button", { type: "button", onclick }, column.title) : column.title);
  }

  // Check boxes for the columns beyond the first.
  choices() {
    return this.columns.slice(1).map((column) => h("label", {}, h("input", {
      type: "checkbox", checked: this.shown.has(column.key), onchange: (event) => {
        this.shown[event.target.checked ? "add" : "delete"](column.key);
        localStorage.setItem(`${this.name}.columns`, JSON.stringify([...this.shown]));
        this.show(this.rows);
      } }), column.title));
  }
}
