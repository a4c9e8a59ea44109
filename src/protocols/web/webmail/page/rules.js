// One rule: in words, and in a form.

import { complain, open } from "./dialogs.js";
import { button, h, sends } from "./elements.js";
import { size, t } from "./texts.js";

const PARTS = ["from", "recipient", "subject", "list", "header", "address", "body", "size"];
const COMPARISONS = ["contains", "is", "begins", "ends", "matches"];
const ACTIONS = ["file", "mark:seen", "mark:flagged", "redirect", "reject", "discard", "keep"];
const UNITS = [["KB", 2 ** 10], ["MB", 2 ** 20], ["B", 1]];

/** A rule in two sentences: when, and what. */
export function summary(rule) {
  const conditions = rule.conditions.map(condition);
  const when = conditions.length === 0 ? t("everyMessage") : conditions.join(t(rule.matching === "any" ? "joinAny" : "joinAll"));
  const what = rule.actions.map(action).join(", ");
  return [when, what];
}

function condition(one) {
  if (one.kind === "size") return t(one.bound === "over" ? "largerThan" : "smallerThan", { size: size(one.octets) });
  const [part, field] = typeof one.of === "string" ? [t(`of_${one.of}`)] : [Object.values(one.of)[0]];
  return `${part ?? field} ${t(one.negated ? `not_${one.comparison}` : `is_${one.comparison}`)} ${one.values.map((text) => t("quoted", { text })).join(t("joinAny"))}`;
}

function action(one) {
  switch (one.kind) {
    case "mark": return t(`act_mark_${one.flag}`);
    case "file": return t(one.copy ? "fileCopyIn" : "fileIn", { folder: one.folder });
    case "redirect": return t(one.copy ? "redirectCopyTo" : "redirectTo", { to: one.to });
    default: return t(`act_${one.kind}`);
  }
}

const choose = (name, options, value, change) => {
  const element = h("select", { "aria-label": t(name), on: { change: () => change(element.value) } }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return element;
};

/** The form; resolves to the changed rule, or to `null`. `check` returns the errors. */
export async function edit(rule, { folders, check }) {
  const name = h("input", { type: "text", value: rule.name, maxLength: 200 });
  const matching = choose("matching", [["all", t("matchAll")], ["any", t("matchAny")], ["every", t("everyMessage")]], rule.conditions.length === 0 ? "every" : rule.matching, () => draw());
  const conditions = rule.conditions.map((one) => new Condition(one));
  const actions = rule.actions.filter((one) => one.kind !== "stop").map((one) => new Action(one));
  const stop = h("input", { type: "checkbox", checked: rule.actions.some((one) => one.kind === "stop") });
  const first = h("div", { class: "parts", role: "group", "aria-label": t("conditions") }), second = h("div", { class: "parts", role: "group", "aria-label": t("actions") });
  const problems = h("ul", { class: "problems", role: "alert" });
  const known = h("datalist", { id: "folderNames" }, folders.map((folder) => h("option", { value: folder })));
  const less = (list, one, draws) => button(t("remove"), "close", () => { list.splice(list.indexOf(one), 1); draws(); }, { kind: "small" });
  const draw = () => {
    const every = matching.value === "every";
    if (!every && conditions.length === 0) conditions.push(new Condition());
    first.replaceChildren(...every ? [] : [...conditions.map((one) => h("div", { class: "part" }, one.element, conditions.length > 1 && less(conditions, one, draw))),
      h("button", { type: "button", on: { click: () => { conditions.push(new Condition()); draw(); first.lastChild.previousSibling.querySelector("select").focus(); } } }, t("addCondition"))]);
    second.replaceChildren(...actions.map((one) => h("div", { class: "part" }, one.element, actions.length > 1 && less(actions, one, draw))),
      h("button", { type: "button", on: { click: () => { actions.push(new Action()); draw(); second.lastChild.previousSibling.querySelector("select").focus(); } } }, t("addAction")));
  };
  draw();
  const submit = h("button", { class: "main", type: "submit" }, t("save"));
  const form = h("form", { class: "rule" }, known, h("label", {}, h("span", {}, t("ruleName")), name),
    h("label", {}, h("span", {}, t("matching")), matching), first, h("h3", {}, t("thenDo")), second,
    h("label", {}, h("span", {}, t("act_stop")), stop), problems, h("footer", {}, submit));
  let changed = null;
  const checking = sends(form, async () => {
    submit.disabled = true;
    const every = matching.value === "every";
    const next = { name: name.value.trim(), enabled: rule.enabled, matching: every ? "all" : matching.value, conditions: every ? [] : conditions.map((one) => one.value), actions: [...actions.map((one) => one.value), ...stop.checked ? [{ kind: "stop" }] : []] };
    try {
      const wrongs = await check(next);
      complain(problems, wrongs);
      if (wrongs.length === 0) {
        changed = next;
        form.closest("dialog").close("");
      }
    } catch (error) {
      complain(problems, [error.message]);
    } finally {
      submit.disabled = false;
    }
  });
  await open(t("rule"), form, { wide: true, initial: name, asks: true });
  // It may be found good after the window was closed.
  await checking.sent;
  return changed;
}

/** One condition in the form. */
class Condition {
  constructor(one = { kind: "text", of: "from", comparison: "contains", values: [] }) {
    this.element = h("div", { class: "fields" });
    this.field = h("input", { type: "text", class: "short", "aria-label": t("fieldName"), placeholder: "X-Spam-Flag", spellcheck: false });
    this.values = h("textarea", { rows: 1, "aria-label": t("lookFor"), title: t("lookForHint"), placeholder: t("lookForHint"), spellcheck: false, on: { input: () => this.fit() } });
    this.number = h("input", { type: "number", class: "short", min: 0, step: "any", "aria-label": t("sizeIs"), value: 1 });
    this.part = "from";
    [this.comparison, this.bound, this.unit] = ["is_contains", "over", "MB"];
    if (one.kind === "size") {
      this.part = "size";
      this.bound = one.bound;
      const [unit, factor] = UNITS.toSorted((a, b) => b[1] - a[1]).find(([, each]) => one.octets >= each && one.octets % each === 0) ?? UNITS[2];
      [this.unit, this.number.value] = [unit, one.octets / factor];
    } else {
      this.part = typeof one.of === "string" ? one.of : Object.keys(one.of)[0];
      this.field.value = typeof one.of === "string" ? "" : one.of[this.part];
      this.comparison = `${one.negated ? "not" : "is"}_${one.comparison}`;
      this.values.value = one.values.join("\n");
    }
    this.draw();
  }

  fit() {
    this.values.rows = Math.min(6, this.values.value.split("\n").length);
  }

  draw() {
    this.fit();
    const part = choose("partOf", PARTS.map((key) => [key, t(`of_${key}`)]), this.part, (key) => { this.part = key; this.draw(); this.element.querySelector("select").focus(); });
    const comparisons = ["is", "not"].flatMap((way) => COMPARISONS.map((key) => [`${way}_${key}`, t(`${way}_${key}`)]));
    this.element.replaceChildren(part, ...this.part === "size" ? [
      choose("compare", [["over", t("over")], ["under", t("under")]], this.bound, (key) => { this.bound = key; }), this.number,
      choose("unit", UNITS.map(([key]) => [key, t(`unit_${key}`)]), this.unit, (key) => { this.unit = key; }),
    ] : [["header", "address"].includes(this.part) ? this.field : "", choose("compare", comparisons, this.comparison, (key) => { this.comparison = key; }), this.values].filter(Boolean));
  }

  get value() {
    if (this.part === "size") return { kind: "size", bound: this.bound, octets: Math.max(0, Math.round(Number(this.number.value) * UNITS.find(([key]) => key === this.unit)[1])) };
    const [way, comparison] = this.comparison.split("_");
    const of = ["header", "address"].includes(this.part) ? { [this.part]: this.field.value.trim() } : this.part;
    const values = this.values.value.split("\n").map((value) => value.trim()).filter(Boolean);
    return { kind: "text", of, comparison, negated: way === "not", values };
  }
}

/** One action in the form. */
class Action {
  constructor(one = { kind: "file", folder: "" }) {
    this.element = h("div", { class: "fields" });
    this.kind = one.kind === "mark" ? `mark:${one.flag}` : one.kind;
    this.folder = h("input", { type: "text", list: "folderNames", value: one.folder ?? "", "aria-label": t("folder"), placeholder: t("folder") });
    this.to = h("input", { type: "email", value: one.to ?? "", "aria-label": t("address"), placeholder: t("address") });
    this.text = h("textarea", { rows: 3, value: one.text ?? "", "aria-label": t("rejectText"), placeholder: t("rejectText") });
    this.copy = h("input", { type: "checkbox", checked: one.copy ?? false });
    this.create = one.create ?? true;
    this.draw();
  }

  draw() {
    const kind = choose("action", ACTIONS.map((key) => [key, t(`act_${key.replace(":", "_")}`)]), this.kind, (key) => { this.kind = key; this.draw(); this.element.querySelector("select").focus(); });
    const copy = h("label", {}, h("span", {}, t("keepCopy")), this.copy);
    const more = { file: [this.folder, copy], redirect: [this.to, copy], reject: [this.text] };
    this.element.replaceChildren(kind, ...more[this.kind] ?? []);
  }

  get value() {
    const [kind, flag] = this.kind.split(":");
    switch (kind) {
      case "mark": return { kind, flag };
      case "file": return { kind, folder: this.folder.value.trim(), copy: this.copy.checked, create: this.create };
      case "redirect": return { kind, to: this.to.value.trim(), copy: this.copy.checked };
      case "reject": return { kind, text: this.text.value };
      default: return { kind };
    }
  }
}
