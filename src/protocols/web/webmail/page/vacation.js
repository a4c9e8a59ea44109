// The automatic answer: a part of the rules, and of their script.

import { get, post } from "./api.js";
import { complain, open } from "./dialogs.js";
import { h, sends, toast } from "./elements.js";
import { activates, store } from "./filters.js";
import { said, t } from "./texts.js";

const label = (name, control) => h("label", {}, h("span", {}, t(name)), control);

/** The window for it. `filters` opens the filters, for a script that rules cannot express. */
export async function show({ filters }) {
  const script = await get("script");
  if (!script.rules) {
    const to = await open(t("vacation"), h("p", {}, t("vacationForeign", { name: script.name ?? t("scriptNameless") })), { buttons: [[t("cancel"), ""], [t("filters"), "filters", "main"]] });
    if (to) await filters();
    return;
  }
  const { rules } = script;
  const known = rules.vacation ?? { position: 0, enabled: false, subject: null, text: "", from: null, until: null, days: null, addresses: [] };
  const on = h("input", { type: "checkbox", checked: known.enabled });
  const subject = h("input", { type: "text", value: known.subject ?? "", maxLength: 500, placeholder: t("vacationSubjectHint") });
  const text = h("textarea", { rows: 6, value: known.text, required: true });
  const date = (value) => h("input", { type: "date", value: value ?? "" });
  const from = date(known.from), until = date(known.until);
  const days = h("input", { type: "number", min: 1, max: 365, value: known.days ?? "", placeholder: "7" });
  const addresses = h("input", { type: "text", value: known.addresses.join(", "), inputMode: "email", spellcheck: false });
  const problems = h("ul", { class: "problems", role: "alert" });
  const form = h("form", { class: "vacation" }, !script.active && script.tag !== null && h("p", { class: "banner" }, h("span", {}, t("scriptOff", { name: script.name }))),
    label("vacationEnabled", on), label("subject", subject), label("vacationText", text),
    h("div", { class: "pair" }, label("vacationFrom", from), label("vacationUntil", until)),
    label("vacationDays", days), label("vacationAddresses", addresses), h("p", { class: "hint" }, t("vacationHint")), problems,
    h("footer", {}, h("button", { class: "main", type: "submit" }, t("save"))));
  sends(form, async () => {
    const vacation = {
      position: known.position, enabled: on.checked, subject: subject.value.trim() || null, text: text.value, from: from.value || null, until: until.value || null,
      days: days.value ? Number(days.value) : null, addresses: addresses.value.split(/[\s,;]+/).filter(Boolean),
    };
    const wish = { ...rules, vacation };
    try {
      const { wrongs, mistakes } = await post("scripts/check", { content: { rules: wish } });
      complain(problems, [...wrongs, ...mistakes].map(said));
      if (wrongs.length + mistakes.length > 0) return;
    } catch (error) {
      toast(error.message, { problem: true });
      return;
    }
    // An answer that is switched on is meant to leave: without an active script nothing would.
    if (await store(script, wish, activates(script) || vacation.enabled)) form.closest("dialog").close("");
  });
  await open(t("vacation"), form, { initial: on, asks: true });
}
