// Addresses: reading lists of them, writing them, completing them while one types.

import { get } from "./api.js";
import { h, isComposed } from "./elements.js";
import { t } from "./texts.js";

/** Where in a list the commas, semicolons and line ends are that stand in no quotation marks or brackets. */
function cuts(text) {
  const places = [];
  let quoted = false, angle = false;
  for (let n = 0; n < text.length; n += 1) {
    const c = text[n];
    // RFC 5322 §3.2.1: a character after a backslash is literal.
    if (quoted && c === "\\") n += 1;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && c === "<") angle = true;
    else if (!quoted && c === ">") angle = false;
    else if (!quoted && !angle && (c === "," || c === ";" || c === "\n")) places.push(n);
  }
  return places;
}

/** Parts a list. */
export function parse(text) {
  const places = cuts(text);
  const pieces = [...places, text.length].map((place, n) => text.slice(n > 0 ? places[n - 1] + 1 : 0, place));
  return pieces.map((one) => one.trim()).filter(Boolean).map((one) => {
    const angle = one.endsWith(">") ? one.lastIndexOf("<") : -1;
    const address = one.slice(angle + 1, -1);
    if (angle < 0 || address.includes(">")) return { name: "", address: one };
    return { name: one.slice(0, angle).trimEnd().replace(/^"(.*)"$/s, "$1").replace(/\\(.)/gs, "$1"), address: address.trim() };
  });
}

/** A list as it is typed. */
export function write(people) {
  return people.map(({ name, address }) => {
    if (!name) return address;
    return /^[\p{L}\p{N} .'-]*$/u.test(name) ? `${name} <${address}>` : `"${name.replace(/["\\]/g, "\\$&")}" <${address}>`;
  }).join(", ");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The letter that a mailto address asks for: names of fields in any case, `+` for itself (RFC 6068 §2). */
export function parseMailto(mailto) {
  const [, path, query = ""] = /^mailto:([^?#]*)(?:\?([^#]*))?/i.exec(mailto) ?? [mailto, ""];
  const fields = query.split("&").map((field) => /^([^=]*)=?(.*)$/.exec(field)).map(([, name, value]) => [decoded(name).toLowerCase(), decoded(value)]);
  const all = (wanted) => fields.filter(([name, value]) => name === wanted && value).map(([, value]) => value);
  const [subject = ""] = all("subject"), [text = ""] = all("body");
  return { to: [decoded(path), ...all("to")].filter(Boolean).join(", "), cc: all("cc").join(", "), bcc: all("bcc").join(", "), subject, text: text.replace(/\r\n?/g, "\n") };
}

/** How somebody is called. A name that looks like the address of somebody else is not taken for it. */
export function displayName({ name, address }) {
  if (!name) return address;
  return /[@\uFE6B\uFF20]/.test(name) && name.toLowerCase() !== address.toLowerCase() ? `${name} <${address}>` : name;
}

export const isAddress = (text) => /^[^\s@]+@[^\s@]+$/.test(text);

/** An address without its tag, in small letters. */
export function bare(address, separator) {
  const [, local, domain] = /^(.*)(@[^@]*)$/.exec(address.toLowerCase()) ?? [];
  const at = local && separator ? local.indexOf(separator) : -1;
  return at > 0 ? local.slice(0, at) + domain : address.toLowerCase();
}

let known;

/** The people this account has written to. */
export function people() {
  known ??= get("people").then((answer) => answer.people, () => { known = undefined; return []; });
  return known;
}

/** Somebody new may be among them. */
export function forgetPeople() {
  known = undefined;
}

let count = 0;

/** A field for a list of people, which suggests those that match the typed text. */
export function field(name, value, changed) {
  const id = `people${count += 1}`;
  const input = h("input", { type: "text", value, dir: "auto", autocomplete: "off", spellcheck: false, role: "combobox", "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list", "aria-label": name, inputMode: "email" });
  const box = h("ul", { id, class: "suggestions", role: "listbox", "aria-label": t("suggestions"), hidden: true });
  let found = [], at = -1;
  const start = () => (cuts(input.value.slice(0, input.selectionStart)).at(-1) ?? -1) + 1;
  const close = () => {
    box.hidden = true;
    found = [];
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (person) => {
    const from = start();
    const before = input.value.slice(0, from).trimEnd();
    const after = input.value.slice(cuts(input.value).find((place) => place >= input.selectionStart) ?? input.value.length);
    input.value = `${before}${before ? " " : ""}${write([person])}, ${after.replace(/^[,;]\s*/, "")}`;
    close();
    input.focus();
    changed();
  };
  const draw = () => {
    box.replaceChildren(...found.map((person, n) => h("li", { id: `${id}-${n}`, role: "option", "aria-selected": String(n === at), on: { mousedown: (event) => { event.preventDefault(); take(person); } } },
      h("strong", {}, person.name || person.address), person.name && h("span", {}, person.address))));
    box.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    if (at >= 0) input.setAttribute("aria-activedescendant", `${id}-${at}`);
    else input.removeAttribute("aria-activedescendant");
  };
  input.addEventListener("input", async () => {
    changed();
    const typed = input.value.slice(start(), input.selectionStart).trim().toLowerCase();
    if (!typed) return close();
    const words = (text) => text.toLowerCase().split(/[\s.@_-]+/);
    const all = await people();
    found = all.filter(({ name, address }) => address.toLowerCase().startsWith(typed) || name.toLowerCase().startsWith(typed) || [...words(name), ...words(address)].some((word) => word.startsWith(typed))).slice(0, 8);
    at = found.length > 0 ? 0 : -1;
    draw();
  });
  input.addEventListener("keydown", (event) => {
    if (box.hidden || isComposed(event)) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length;
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(found[at]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (!box.hidden) draw();
  });
  input.addEventListener("blur", close);
  return { input, element: h("div", { class: "field" }, input, box), get people() { return parse(input.value); } };
}
