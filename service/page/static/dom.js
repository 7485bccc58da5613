// Elements made by hand. Text is only ever text: no markup is made of a string.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (element.localName === "table") entitle(element);
  return element;
}

export const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

// The named places of a view's template: <p data-part="lead"> is parts(root).lead.
export function parts(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-part]")].map((each) => [each.dataset.part, each]));
}

const HANDLERS = ["onclick", "onchange", "oninput", "onkeydown", "onsubmit", "onpointermove", "onpointerleave"];

function sync(before, after) {
  for (const { name } of [...before.attributes]) {
    // What the reader has opened stays open, and a cell's heading is put there below.
    if (name !== "open" && name !== "data-title" && !after.hasAttribute(name)) before.removeAttribute(name);
  }
  for (const { name, value } of after.attributes) {
    if (before.getAttribute(name) !== value) before.setAttribute(name, value);
  }
  for (const handler of HANDLERS) before[handler] = after[handler];
  fill(before, ...after.childNodes);
}

function exchange(before, after) {
  const focused = before.contains(document.activeElement) ? document.activeElement.localName : null;
  const opened = before.querySelector("details")?.open;
  before.replaceWith(after);
  if (opened) after.querySelector("details").open = true;
  if (focused) after.querySelector(focused)?.focus({ preventScroll: true });
}

// Put the children into the element and keep of what is there all that is alike, so that focus, selection, scrolling
// and what was opened survive news. A child with data-key is the one that had that key.
export function fill(element, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  const keyed = new Map();
  for (const child of element.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let at = element.firstChild;
  for (const child of wanted) {
    const node = typeof child === "string" ? document.createTextNode(child) : child;
    const known = node.dataset?.key ? keyed.get(node.dataset.key) : at;
    const alike = known && known.nodeType === node.nodeType && known.nodeName === node.nodeName
      && (known.dataset?.key ?? "") === (node.dataset?.key ?? "");
    if (alike && node.dataset?.version) {
      // A drawing: kept as it is while nothing of it has changed, and otherwise drawn anew.
      if (at === known) at = at.nextSibling;
      if (known.dataset.version === node.dataset.version) element.insertBefore(known, at);
      else exchange(known, node);
      continue;
    }
    if (!alike) {
      element.insertBefore(node, at);
      continue;
    }
    if (node.nodeType === Node.TEXT_NODE) {
      if (known.data !== node.data) known.data = node.data;
    } else if (known !== node) sync(known, node);
    if (known === at) at = at.nextSibling;
    else element.insertBefore(known, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  if (element.localName === "table") entitle(element);
}

// Each cell's heading, which stands before it where a row is shown as lines below each other.
function entitle(table) {
  const headings = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent);
  for (const body of table.tBodies) for (const row of body.rows) for (const [place, cell] of [...row.cells].entries()) {
    if (cell.dataset.title !== headings[place]) cell.dataset.title = headings[place] ?? "";
  }
}

export function announce(text) {
  document.getElementById("announcement").textContent = text;
}
