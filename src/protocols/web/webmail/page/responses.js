// Responses: texts that are written often, kept with the account and put into a letter.

import { menu, prompt, stored } from "./dialogs.js";
import { button, h, toast } from "./elements.js";
import { keep } from "./savepreferences.js";
import { canned } from "./markup.js";
import { t } from "./texts.js";
import { RichTextField } from "./richtext.js";

/** What can be put into a letter, beside the button for it. */
export function choose(at, letter) {
  const { preferences } = letter.composer.account;
  const text = letter.chosenText, html = letter.chosenHtml;
  const entries = preferences.responses.map((one) => [one.name, () => letter.insertResponse(one), "response"]);
  if (text) entries.push([t("keepResponse"), () => keepAsOne(preferences, text, html), "keep"]);
  entries.push([t(entries.length > 0 ? "editResponses" : "noResponses"), () => letter.composer.act.responses(), "edit"]);
  menu(at, entries);
}

/** Keeps a text under a name, in place of the one that had it. */
async function keepAsOne(preferences, text, html) {
  const name = await prompt(t("responseName"), text.split("\n")[0].slice(0, 60).trim());
  if (!name) return;
  const fresh = { name, text, ...(html ? { html } : {}) };
  try {
    await keep(preferences, (wish) => {
      const known = wish.responses.some((one) => one.name === name);
      wish.responses = known ? wish.responses.map((one) => (one.name === name ? fresh : one)) : [...wish.responses, fresh];
    });
    toast(t("saved"));
  } catch (error) {
    toast(error.message, { problem: true });
  }
}

/** The section of the settings in which they are written. */
export function responses(preferences, store, wordings) {
  const list = h("div", { class: "responses" });
  const note = h("p", { class: "problems", role: "alert" });
  const written = new Map();
  const add = ({ name, ...kept } = { name: "", text: "" }) => {
    const called = h("input", { type: "text", value: name, maxLength: 200, class: "name" });
    const says = new RichTextField({ name: t("responseText"), kept, rows: 4, load: kept.html ? () => canned(name) : null });
    wordings.push(says);
    const one = h("fieldset", {}, h("legend", {}, name || t("newResponse")), h("label", {}, h("span", {}, t("responseName")), called), says.elements);
    says.switch.after(button(t("remove"), "trash", () => { one.remove(); written.delete(one); more.focus(); }, { text: true, kind: "removeResponse" }));
    written.set(one, [called, says]);
    list.append(one);
    return called;
  };
  const more = button(t("newResponse"), "plus", () => add().focus(), { text: true, kind: "addResponse" });
  const save = () => {
    const all = [...written.values()].map(([field, says]) => ({ field, wish: { name: field.value.trim(), ...says.value } }));
    const filled = all.filter(({ wish: { name, text } }) => name || text);
    const nameless = filled.find(({ wish: { name } }) => !name);
    note.textContent = nameless ? t("refused_response-nameless") : "";
    if (nameless) {
      nameless.field.focus();
      return;
    }
    const before = preferences.responses;
    preferences.responses = filled.map(({ wish }) => wish);
    const moment = performance.now();
    store().then((kept) => {
      if (kept) stored(form, moment);
      else preferences.responses = before;
    });
  };
  preferences.responses.forEach(add);
  const form = h("form", { on: { submit: (event) => { event.preventDefault(); save(); } } }, list, note, h("div", { class: "actionRow" }, more, h("button", { class: "main", type: "submit" }, t("save"))));
  return h("section", { id: "responses" }, h("h3", {}, t("responses")), h("p", { class: "hint" }, t("responsesWhy")), form);
}
