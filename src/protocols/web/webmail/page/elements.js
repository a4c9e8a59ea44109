// Making elements. Texts are only ever set as text: nothing here or elsewhere turns a string into markup.

import { ICONS } from "./icons.js";
import { keyNames } from "./texts.js";

/** An element with properties, attributes and children. `on` holds listeners; `false` and `null` are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && !["list", "form", "role"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  // One by one: a text has more lines than a call may have arguments.
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing beside or in place of a text, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with a drawing and a name; the name is shown when `text` is set. */
export function button(name, drawing, act, { text = false, kind = "", key = "", pressed } = {}) {
  const title = key ? `${name} (${keyNames(key)})` : name;
  return h("button", { type: "button", class: `${text ? "" : "bare"} ${kind}`.trim(), title, "aria-label": name, "aria-pressed": pressed === undefined ? null : String(pressed), on: { click: act } },
    drawing && icon(drawing), text && h("span", {}, name));
}

/** A coloured circle with a letter. */
export function avatar(person) {
  const name = person?.name || person?.address || "?";
  let sum = 0;
  for (const c of person?.address ?? "") sum = (sum * 31 + c.codePointAt(0)) >>> 0;
  return h("span", { class: `avatar tone${sum % 8}`, "aria-hidden": "true" }, [...name.replace(/^["'\s]+/, "")][0]?.toUpperCase() ?? "?");
}

/** Whether a key is one of a composition that an input method has not ended. */
export const isComposed = (event) => event.isComposing || event.keyCode === 229;

/** A word at the edge of the page that goes by itself. */
export function toast(text, { act, action, problem = false, last = problem ? 10_000 : 6_000 } = {}) {
  const element = h("div", { class: problem ? "toast problem" : "toast" }, h("span", {}, text));
  const gone = () => element.remove();
  let timer = 0;
  const wait = () => { timer = setTimeout(gone, last); };
  // Nobody is to hurry who is about to press its button.
  for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, () => { clearTimeout(timer); wait(); });
  if (act) element.append(h("button", { type: "button", on: { click: () => { gone(); act(); } } }, action));
  document.querySelector("#toasts").append(element);
  wait();
  return element;
}

/** Makes these the children of an element. Those that it has already stay where they are: a click on what is taken away, also if only to be put
 * back, between pressing and releasing the button is lost. */
export function arrange(parent, elements) {
  const kept = new Set(elements);
  for (const child of [...parent.childNodes]) if (!kept.has(child)) child.remove();
  let next = parent.firstChild;
  for (const element of elements) {
    if (element === next) next = next.nextSibling;
    else parent.insertBefore(element, next);
  }
}

/** Waits for something, and shows what goes wrong. */
export const orToast = (promise) => promise.catch((error) => toast(error.message, { problem: true }));

/** The same call at most once in a while, the last one counting. */
export function later(wait, act) {
  let timer = 0;
  const call = (...values) => { clearTimeout(timer); timer = setTimeout(act, wait, ...values); };
  call.cancel = () => clearTimeout(timer);
  return call;
}

/** Has a form do something when it is sent. Until that is done, sending it again does nothing; `sent` of the returned value waits for it. */
export function sends(form, act) {
  const state = { sent: null };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    state.sent ??= act().finally(() => { state.sent = null; });
  });
  return state;
}

/** A browser and its system as people know them, from what it says about itself. */
export function browserName(text) {
  const name = /Edg\//.test(text) ? "Edge" : /Firefox\//.test(text) ? "Firefox" : /Chrome\//.test(text) ? "Chrome" : /Safari\//.test(text) ? "Safari" : text.split(" ")[0] || "?";
  const system = /Android|iPhone|iPad|Windows|Mac OS X|Linux/.exec(text)?.[0];
  return system ? `${name}, ${system}` : name;
}
