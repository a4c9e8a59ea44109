// @ts-check
// Elements and the ways of writing numbers. Text is only ever set as text, so nothing in it can become markup.

/**
 * @typedef {Node | string | number | null | undefined} Child
 * @param {string} name
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {...Child} children
 */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/**
 * @param {string} name
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {...Child} children
 */
export function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/**
 * @template {Element} T
 * @param {T} made
 * @param {Record<string, string | number | boolean | null | undefined>} attributes
 * @param {Child[]} children
 */
function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined) made.append(child instanceof Node ? child : String(child));
  }
  return made;
}

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/** @type {WeakMap<Element, string>} */
const shown = new WeakMap();

/**
 * Shows rows in a table, unless they are there already, so that nobody who reads them is disturbed.
 * @param {string} id
 * @param {unknown[]} facts what the rows are made of
 * @param {() => Child[][]} rows
 * @param {string} nothing what is said when there is none
 */
export function rowsOf(id, facts, rows, nothing) {
  const table = byId(id);
  const key = JSON.stringify(facts);
  if (shown.get(table) === key) return;
  shown.set(table, key);
  const heads = [...table.querySelectorAll("thead th")];
  const made = rows().map((cells) =>
    element("tr", {}, ...cells.map((cell, n) => element("td", { class: heads[n]?.className || null, "data-head": heads[n]?.textContent ?? "" }, cell))),
  );
  if (made.length === 0) made.push(element("tr", {}, element("td", { colspan: heads.length, class: "quiet" }, nothing)));
  table.querySelector("tbody")?.replaceChildren(...made);
}

/** @param {number} octets */
export function size(octets) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let value = octets;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${octets} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** @param {number} value */
export const number = (value) => value.toLocaleString("en");

/** "1 domain", "2 domains". @param {number} value @param {string} thing */
export const some = (value, thing) => `${number(value)} ${thing}${value === 1 ? "" : thing.endsWith("s") ? "es" : "s"}`;

/** @param {number} part @param {number} whole */
export const share = (part, whole) => (whole === 0 ? 0 : (100 * part) / whole);

/**
 * The interface's times are microseconds since 1970.
 * @param {number} micros
 */
export const date = (micros) => new Date(micros / 1000);

/** @param {number} value @param {number} [digits] */
const two = (value, digits = 2) => String(value).padStart(digits, "0");

/** @param {number} micros */
export function moment(micros) {
  return element("time", { datetime: date(micros).toISOString() }, `${day(micros)} ${clock(micros)}`);
}

/** @param {number} micros */
export function day(micros) {
  const at = date(micros);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** @param {number} micros */
export function clock(micros) {
  const at = date(micros);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/**
 * @param {number} from
 * @param {number} to
 */
export function age(from, to) {
  const seconds = Math.max(0, Math.round((to - from) / 1e6));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/**
 * @param {number} used
 * @param {number} of
 * @param {string} about
 */
export function meter(used, of, about) {
  const percent = Math.round(share(used, of));
  const level = percent >= 95 ? "bad" : percent >= 85 ? "warn" : "well";
  return element(
    "span",
    { class: "level" },
    element("meter", { min: 0, max: 100, high: 85, optimum: 0, value: Math.min(percent, 100), "aria-label": about }),
    element("span", { class: level }, ` ${percent} %`),
  );
}
