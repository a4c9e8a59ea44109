// Small windows over the page. Each is a <dialog>, so that the browser keeps the focus in it and Escape closes it.

import { button, h, isComposed, toast } from "./elements.js";
import { t } from "./texts.js";

const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent;

/** Gives the focus back to what has it now; to what took its place, or to the list of messages, if that is drawn anew meanwhile. */
function holder(held = document.activeElement) {
  const around = [];
  for (let one = held?.parentElement; one; one = one.parentElement) around.push(one);
  return () => {
    if (held?.isConnected) {
      held.focus();
      return;
    }
    // Somebody has gone on to something else.
    if (document.activeElement !== document.body) return;
    const box = around.find((one) => one.isConnected);
    const same = held && box && [...box.querySelectorAll(held.localName)].find((one) => nameOf(one) === nameOf(held) && !one.disabled);
    (same ?? box?.closest("dialog")?.querySelector("button") ?? document.querySelector(".rows"))?.focus();
  };
}

/** Fields with words that somebody has thought of; what is chosen is soon chosen again, and a password is not kept anywhere. */
const WORDS = "textarea, [contenteditable], input:not([type=search], [type=checkbox], [type=password], [type=file])";

/** What a window has as its result as long as nobody has closed it by something in it. */
const UNASKED = "unasked";

/** For each window the parts of it in which something is written that is not stored, and when something was last. */
const unstored = new WeakMap();
/** Windows that were open when a login ended, with something in them. */
let aside = [];

/** What was written in a part of a window up to a moment is stored, or no longer wanted. */
export function stored(part, moment = Infinity) {
  const written = unstored.get(part.closest("dialog"));
  for (const [one, at] of written ?? []) if (part.contains(one) && at <= moment) written.delete(one);
}

/** Closes all windows, and keeps for `bringBack` those with something in them that is not stored. Whether there are such. */
export function putAside() {
  for (const dialog of document.querySelectorAll("dialog")) {
    if (unstored.get(dialog)?.size > 0) {
      aside.push(dialog);
      dialog.remove();
    } else dialog.close("");
  }
  return aside.length > 0;
}

/** Opens again what was put aside. */
export function bringBack() {
  for (const dialog of aside.splice(0)) {
    dialog.removeAttribute("open");
    document.body.append(dialog);
    dialog.showModal();
    const [written] = unstored.get(dialog).keys();
    written.querySelector(WORDS)?.focus();
  }
}

/** Forgets what was put aside, so that the browser does not ask about it before it leaves the page. */
export function forgetAside() {
  for (const dialog of aside.splice(0)) unstored.get(dialog).clear();
}

/** Opens a window and resolves to what it was closed with; `""` when it was left. With `asks`, nobody leaves it by mistake who has written something there. */
export function open(title, content, { wide = false, buttons = [], initial, asks = false } = {}) {
  return new Promise((resolve) => {
    const giveBack = holder(), written = new Map();
    const leave = async () => {
      if (written.size === 0 || await confirm(t("leaveSure"), t("discard"))) dialog.close("");
    };
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-label": title },
      h("header", {}, h("h2", {}, title), button(t("close"), "close", leave)),
      content,
      buttons.length > 0 && h("footer", {}, buttons.map(([name, value, kind]) =>
        h("button", { type: "button", class: kind ?? "", on: { click: () => dialog.close(value) } }, name))));
    // A selection that ends beside the window began in it.
    let pressed = null;
    dialog.addEventListener("pointerdown", (event) => { pressed = event.target; });
    dialog.addEventListener("click", (event) => { if (event.target === dialog && pressed === dialog) leave(); });
    // Before the browser, which closes with a window also the one below where no click has opened it.
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || isComposed(event)) return;
      event.preventDefault();
      leave();
    });
    const stays = (event) => { if (written.size > 0) event.preventDefault(); };
    if (asks) {
      unstored.set(dialog, written);
      dialog.addEventListener("input", ({ target }) => { if (target.matches(WORDS)) written.set(target.closest("form") ?? content, performance.now()); });
      addEventListener("beforeunload", stays);
    }
    dialog.returnValue = UNASKED;
    dialog.addEventListener("close", () => {
      const by = dialog.returnValue;
      // A telephone's gesture for going back closes it whatever is in it.
      if (by === UNASKED && written.size > 0) {
        dialog.showModal();
        leave();
        return;
      }
      removeEventListener("beforeunload", stays);
      dialog.remove();
      giveBack();
      resolve(by === UNASKED ? "" : by);
    });
    document.body.append(dialog);
    dialog.showModal();
    (initial ?? dialog.querySelector("[autofocus]") ?? dialog.querySelector("footer button:last-child"))?.focus();
  });
}

/** Shows an error in a window, or at the edge of the page once the window is closed. */
export function complain(list, texts) {
  if (list.isConnected) list.replaceChildren(...texts.map((text) => h("li", {}, text)));
  else for (const text of texts) toast(text, { problem: true });
}

/** Asks whether something is meant. */
export async function confirm(text, yes, dangerous = true) {
  const answer = await open(yes, h("p", {}, text), { buttons: [[t("cancel"), ""], [yes, "yes", dangerous ? "danger" : "main"]] });
  return answer === "yes";
}

/** Asks for a line of text; `null` when none was given. */
export async function prompt(title, value = "") {
  const input = h("input", { type: "text", value, "aria-label": title, autofocus: true });
  const form = h("form", { method: "dialog" }, h("label", {}, title, input));
  let given = null;
  form.addEventListener("submit", () => { given = input.value.trim() || null; });
  const ok = h("button", { class: "main", type: "submit" }, t("ok"));
  form.append(h("footer", {}, ok));
  queueMicrotask(() => input.select());
  await open(title, form, { initial: input });
  return given;
}

/** A list of things to do, beside a button; what can be on or off says whether it is. Arrows move, Escape and a click elsewhere close it. */
export function menu(at, entries) {
  document.querySelector(".menu")?.remove();
  const items = entries.filter(Boolean).map(([name, act, kind, checked]) =>
    h("button", { type: "button", role: checked === undefined ? "menuitem" : "menuitemcheckbox", "aria-checked": checked === undefined ? null : String(checked), class: kind ?? "", on: { click: () => { close(); act(); } } }, name));
  const element = h("div", { class: "menu", role: "menu", on: { click: (event) => event.stopPropagation() } }, items);
  const giveBack = holder(at);
  const close = () => {
    element.remove();
    document.removeEventListener("pointerdown", outside, true);
    at.setAttribute("aria-expanded", "false");
    giveBack();
  };
  const outside = (event) => { if (!element.contains(event.target)) close(); };
  element.addEventListener("keydown", (event) => {
    const n = items.indexOf(document.activeElement);
    const to = { ArrowDown: n + 1, ArrowUp: n - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[(to + items.length) % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  // Where the button is, so that the menu is within the same part of the page.
  (at.closest("dialog, header, nav, section, main") ?? document.body).append(element);
  const box = at.getBoundingClientRect();
  element.style.top = `${Math.max(8, Math.min(box.bottom + 4, innerHeight - element.offsetHeight - 8))}px`;
  element.style.left = `${Math.max(8, Math.min(box.left, innerWidth - element.offsetWidth - 8))}px`;
  at.setAttribute("aria-haspopup", "menu");
  at.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", outside, true);
  items[0]?.focus();
}
