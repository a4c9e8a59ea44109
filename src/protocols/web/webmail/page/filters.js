// Filters: rules, kept in one Sieve script that other programs can read and change; the scripts as text beside them.

import { get, post } from "./api.js";
import { confirm, open, prompt, stored } from "./dialogs.js";
import { button, h, later, orToast, toast } from "./elements.js";
import { edit, summary } from "./rules.js";
import { said, size, t } from "./texts.js";

/** Stores rules in the script they were read from; `null` when it has been changed elsewhere or is refused. */
export async function store(script, rules, activate) {
  try {
    // A file that somebody has put there by hand has no name; the rules get one.
    const { name, tag } = script.name === null ? { name: "rules", tag: null } : script;
    const answer = await post("script", { name, content: { rules }, tag, activate });
    toast(t("saved"));
    return answer.script;
  } catch (error) {
    toast(error.message, { problem: true });
    return null;
  }
}

/** Whether storing rules also puts them in force: always, unless somebody has switched a script off. */
export const activates = (script) => script.active || script.tag === null;

/** The window with all filters; `folders` are the names of all folders, `vacation` opens the automatic answer. */
export async function show({ folders, vacation }) {
  const content = h("div", { class: "settings filters" });
  await new Filters(content, folders, vacation).load();
  await open(t("filters"), content, { wide: true, initial: content.querySelector("button.main"), asks: true });
}

class Filters {
  constructor(content, folders, vacation) {
    Object.assign(this, { content, folders, vacation, name: undefined, storing: false });
  }

  async load() {
    [this.script, this.list] = await Promise.all([get("script", { name: this.name }), get("scripts")]);
    this.draw();
  }

  /** Looks again, at another script if one is named. */
  again(name) {
    if (name !== undefined) this.name = name ?? undefined;
    return orToast(this.load());
  }

  draw() {
    const { script } = this;
    stored(this.content);
    this.content.replaceChildren(script.rules && !this.asText ? this.rules() : this.text(), this.scripts());
  }

  /** The script that holds the rules, and whether it is active. */
  state() {
    const { script } = this;
    if (script.active || script.tag === null) return null;
    return h("p", { class: "banner" }, h("span", {}, t("scriptOff", { name: script.name })),
      h("button", { type: "button", on: { click: () => this.activate(script.name) } }, t("activate")));
  }

  rules() {
    const { rules, vacation } = this.script.rules;
    const entries = rules.map((rule, n) => this.rule(rule, n));
    if (vacation) entries.splice(vacation.position, 0, this.answer(vacation));
    const list = entries.length > 0 ? h("ol", { class: "rules" }, entries) : h("p", {}, t("noRules"));
    const add = h("button", { type: "button", class: "main", on: { click: () => this.change(rules.length, { name: "", enabled: true, matching: "all", conditions: [{ kind: "text", of: "from", comparison: "contains", values: [] }], actions: [{ kind: "file", folder: "" }, { kind: "stop" }] }) } }, t("addRule"));
    const source = this.script.source && h("details", {}, h("summary", {}, t("asScript")), h("pre", { class: "script", tabIndex: 0, "aria-label": t("asScript") }, this.script.source),
      h("button", { type: "button", on: { click: () => { this.asText = true; this.draw(); } } }, t("editAsText")));
    return h("section", {}, h("h3", {}, t("rules")), this.state(), list, h("div", { class: "line" }, add, !vacation && h("button", { type: "button", on: { click: () => this.openVacation() } }, t("vacation"))), source);
  }

  rule(rule, n) {
    const [first, then] = summary(rule);
    const name = rule.name || first;
    const on = h("input", { type: "checkbox", checked: rule.enabled, "aria-label": t("ruleOn", { name }), on: { change: () => this.put((rules) => { rules[n] = { ...rule, enabled: on.checked }; }) } });
    return h("li", { class: rule.enabled ? "" : "off" }, on,
      h("button", { type: "button", class: "quiet what", "aria-label": t("editRule", { name }), on: { click: () => this.change(n, rule) } },
        rule.name && h("strong", {}, rule.name), h("span", {}, first), h("span", {}, then)),
      this.arrows(name, n > 0 && (() => this.swap(n, n - 1)), n + 1 < this.script.rules.rules.length && (() => this.swap(n, n + 1))),
      button(t("removeRule", { name }), "trash", () => this.drop(n, name), { kind: "small" }));
  }

  answer(vacation) {
    const name = t("vacation");
    const move = (by) => () => this.put((_, set) => { set.vacation = { ...vacation, position: vacation.position + by }; }, "vacation", by);
    return h("li", { class: vacation.enabled ? "" : "off" }, h("span", { class: "box" }),
      h("button", { type: "button", class: "quiet what", "aria-label": t("editRule", { name }), on: { click: () => this.openVacation() } },
        h("strong", {}, name), h("span", {}, t(vacation.enabled ? "vacationOn" : "vacationOff"))),
      this.arrows(name, vacation.position > 0 && move(-1), vacation.position < this.script.rules.rules.length && move(1)), h("span", { class: "box" }));
  }

  arrows(name, up, down) {
    const arrow = (act, word, drawing) => {
      const element = button(t(word, { name }), drawing, act || null, { kind: "small" });
      element.disabled = !act;
      return element;
    };
    return h("span", { class: "arrows" }, arrow(up, "ruleUp", "up"), arrow(down, "ruleDown", "down"));
  }

  openVacation() {
    return orToast(this.vacation().then(() => this.again()));
  }

  async change(n, rule) {
    const others = this.script.rules;
    const check = async (changed) => {
      const rules = others.rules.toSpliced(n, 1, changed);
      const { wrongs, mistakes } = await post("scripts/check", { content: { rules: { ...others, rules } } });
      return [...wrongs.filter((one) => one.rule === n), ...mistakes].map(said);
    };
    const changed = await edit(rule, { folders: this.folders, check });
    if (changed) await this.put((rules) => { rules[n] = changed; });
  }

  swap(n, m) {
    return this.put((rules) => { [rules[n], rules[m]] = [rules[m], rules[n]]; });
  }

  async drop(n, name) {
    if (await confirm(t("removeRuleSure", { name }), t("remove"))) {
      await this.put((rules, set) => {
        rules.splice(n, 1);
        if (set.vacation?.position > n) set.vacation = { ...set.vacation, position: set.vacation.position - 1 };
      });
    }
  }

  /** Does one thing at a time: until it is done and drawn anew, what is pressed would mean other rules or another text. */
  async alone(act) {
    if (this.storing) return;
    this.storing = true;
    try {
      await act();
    } finally {
      this.storing = false;
    }
  }

  /** Stores the rules with a change; the focus stays where it was. */
  put(act) {
    return this.alone(async () => {
      const set = structuredClone(this.script.rules);
      act(set.rules, set);
      const focused = document.activeElement?.getAttribute("aria-label");
      const kept = await store(this.script, set, activates(this.script));
      if (kept) this.script = kept;
      await this.again();
      if (focused) [...this.content.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused && !one.disabled)?.focus();
    });
  }

  /** The script as text, and its errors. */
  text() {
    const { script } = this;
    const area = h("textarea", { class: "script", rows: 16, value: script.source.replace(/\r\n/g, "\n"), spellcheck: false, autocapitalize: "none", wrap: "off", "aria-label": t("scriptText", { name: script.name ?? "" }) });
    const list = h("ul", { class: "plain mistakes", role: "status" });
    const look = (judgement) => {
      const places = [...judgement.mistakes, ...judgement.warnings.map((place) => ({ ...place, warning: true }))];
      list.replaceChildren(...places.map((place) => h("li", { class: place.warning ? "" : "problems" }, h("button", { type: "button", class: "quiet", on: { click: () => go(area, place) } }, t(place.warning ? "scriptWarning" : "scriptMistake", { ...place, text: said(place) })))));
      save.disabled = judgement.mistakes.length > 0;
    };
    const check = later(400, () => orToast(post("scripts/check", { content: { source: area.value } }).then(look)));
    area.addEventListener("input", check);
    const save = h("button", { type: "button", class: "main", on: { click: () => this.alone(() => orToast(this.saveText(area))) } }, t("save"));
    look(script);
    const why = script.foreign && h("p", { class: "banner" }, h("span", {}, t(script.name ? "scriptForeign" : "scriptByHand", { name: script.name ?? "", line: script.foreign.line, why: said(script.foreign) })),
      h("button", { type: "button", on: { click: () => orToast(this.startOver()) } }, t("rulesInstead")));
    return h("section", {}, h("h3", {}, script.name ?? t("scriptNameless")), this.state(), why, area, list,
      h("div", { class: "line" }, save, script.rules && h("button", { type: "button", on: { click: () => { this.asText = false; this.draw(); } } }, t("backToRules"))));
  }

  async saveText(area) {
    const { script } = this;
    const name = script.name ?? await prompt(t("scriptName"), "rules");
    if (!name) return;
    const tag = script.name === null ? null : script.tag;
    // What is typed meanwhile would be replaced by what is stored.
    area.readOnly = true;
    try {
      await post("script", { name, content: { source: area.value }, tag, activate: script.active || script.tag === null });
    } finally {
      area.readOnly = false;
    }
    toast(t("saved"));
    this.asText = true;
    await this.again(name);
  }

  /** Rules in place of a script that somebody has written, which stays under another name. */
  async startOver() {
    const { script } = this;
    if (!await confirm(t("rulesInsteadSure", { name: script.name ?? t("scriptNameless") }), t("rulesInstead"), false)) return;
    const name = script.name ?? "rules";
    const present = script.name === null ? await get("script", { name }).catch(() => ({ tag: null })) : script;
    const answer = await post("script", { name, content: { rules: { rules: [] } }, tag: present.tag, keep: present.tag !== null, activate: true });
    if (answer.kept) toast(t("scriptKept", { name: answer.kept }));
    this.asText = false;
    await this.again(null);
  }

  /** All scripts, by name. */
  scripts() {
    const entries = this.list.scripts.map(({ name, active, size: octets }) => h("li", {},
      h("span", {}, h("strong", {}, name), " ", h("small", {}, size(octets), active ? ` · ${t("scriptActive")}` : "")),
      h("span", { class: "line" },
        h("button", { type: "button", "aria-label": t("editScript", { name }), on: { click: () => { this.asText = true; this.again(name); } } }, t("editIt")),
        h("button", { type: "button", "aria-label": t(active ? "deactivateScript" : "activateScript", { name }), on: { click: () => this.activate(active ? null : name) } }, t(active ? "deactivate" : "activate")),
        h("button", { type: "button", "aria-label": t("renameScript", { name }), on: { click: () => orToast(this.rename(name)) } }, t("renameFolder")),
        !active && button(t("deleteScript", { name }), "trash", () => orToast(this.erase(name)), { kind: "small" }))));
    const fresh = h("button", { type: "button", on: { click: () => orToast(this.fresh()) } }, t("newScript"));
    const opened = this.script.rules === null || this.asText || this.list.by_hand;
    return h("section", {}, h("details", { open: opened || this.opened, on: { toggle: (event) => { this.opened = event.target.open; } } }, h("summary", {}, t("allScripts")), h("p", {}, t("scriptsHint")), h("ul", { class: "plain" }, entries), fresh));
  }

  async activate(name) {
    await orToast(post("scripts/activate", { name }).then(() => this.again()));
  }

  async rename(name) {
    const to = await prompt(t("renameFolderTo", { name }), name);
    if (!to || to === name) return;
    await post("scripts/rename", { from: name, to });
    await this.again(this.name === name || this.script.name === name ? to : undefined);
  }

  async erase(name) {
    if (!await confirm(t("deleteScriptSure", { name }), t("deleteIt"))) return;
    await post("scripts/delete", { name });
    await this.again(this.name === name ? null : undefined);
  }

  async fresh() {
    const name = await prompt(t("scriptName"));
    if (!name) return;
    await post("script", { name, content: { source: "" }, tag: null });
    this.asText = true;
    await this.again(name);
  }
}

/** Puts the cursor to a place in the text. */
function go(area, { line, column }) {
  const before = area.value.split("\n").slice(0, line - 1);
  const at = before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
  area.focus();
  area.setSelectionRange(at, at + 1);
  area.scrollTop = (line - 4) * parseFloat(getComputedStyle(area).lineHeight);
}
