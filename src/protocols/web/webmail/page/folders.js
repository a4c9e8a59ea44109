// The list of folders.

import { get, post } from "./api.js";
import { confirm, menu, prompt } from "./dialogs.js";
import { arrange, button, h, icon, toast } from "./elements.js";
import { choose, take } from "./imports.js";
import { folderName, number, size, t } from "./texts.js";

const ORDER = ["inbox", "drafts", "sent", "archive", "junk", "trash"];

/** The name that stands for the messages of all folders but junk and trash; no folder can have it. */
export const ALL = "*";

const FOLDED = "postrider.folded";
const MOST_FOLDED = 500;
const CONTROLS = ["a", ".twist", ".small", ".hide"];

/** The folders that an account has collapsed in this browser. The previous account's folder names are private, so they are forgotten. */
function remembered(account) {
  try {
    const kept = JSON.parse(localStorage.getItem(FOLDED));
    if (kept?.account === account && Array.isArray(kept.names)) return kept.names;
    localStorage.removeItem(FOLDED);
  } catch { /* nothing may be kept here */ }
  return [];
}

function byLevels(one, other) {
  const at = one.findIndex((level, n) => level !== other[n]);
  if (at < 0) return one.length - other.length;
  return other[at] === undefined ? 1 : one[at].localeCompare(other[at]);
}

/** Folders of the account, and the element that shows them. `act` has `open`, `drop` and `changed`, and says which `account` it is. */
export class Folders {
  constructor(act) {
    this.act = act;
    this.all = [];
    this.known = new Map();
    this.current = "INBOX";
    this.showHidden = false;
    /** The folder that something is being done to: it may be gone already. */
    this.changing = null;
    this.folded = new Set(remembered(act.account));
    /** The lines that are drawn, by the names of their folders. */
    this.lines = new Map();
    this.list = h("ul", { class: "folders" });
    this.usage = h("p", { class: "usage" });
    this.element = h("nav", { id: "folders", "aria-label": t("folders") },
      button(t("compose"), "compose", () => act.compose(), { text: true, kind: "main compose", key: "c" }),
      this.list,
      button(t("newFolder"), "plus", () => this.create(), { text: true, kind: "quiet" }),
      this.usage);
  }

  async load() {
    const answer = await get("folders");
    this.known = new Map(answer.folders.map((folder) => [folder.name, folder]));
    // Subfolders are beneath their folder.
    const sorted = answer.folders.map((folder) => {
      const top = this.named(this.above(folder)[0] ?? folder.name);
      const above = top.role ? top.name.split("/").length - 1 : 0;
      return { folder, place: top.role ? ORDER.indexOf(top.role) : ORDER.length, levels: folder.name.split("/").slice(above) };
    });
    this.all = sorted.sort((a, b) => a.place - b.place || byLevels(a.levels, b.levels)).map(({ folder }) => folder);
    this.draw(answer);
    this.act.changed();
  }

  /** The folder with a purpose. */
  role(role) {
    return this.all.find((folder) => folder.role === role);
  }

  named(name) {
    return this.known.get(name);
  }

  shown(name) {
    if (name === ALL) return t("allMail");
    const folder = this.named(name);
    return folder ? folderName(folder) : name;
  }

  /** The name of the folder that is shown with a name. */
  called(name) {
    return this.all.find((folder) => this.shown(folder.name).toLowerCase() === name.toLowerCase())?.name;
  }

  draw({ used, quota }) {
    const hidden = this.all.filter((folder) => !folder.subscribed && !folder.role);
    const unfolded = (folder) => folder.name === this.current || !this.above(folder).some((name) => this.folded.has(name));
    const visible = this.all.filter((folder) => (this.showHidden || !hidden.includes(folder) || folder.name === this.current) && unfolded(folder));
    this.answer = { used, quota };
    const focused = this.focused();
    const special = visible.findLastIndex((folder) => (this.named(this.above(folder)[0]) ?? folder).role);
    const lines = new Map();
    const draw = (name, said, make) => {
      const told = JSON.stringify(said), known = this.lines.get(name);
      lines.set(name, known?.told === told ? known : { told, element: make() });
    };
    for (const [n, folder] of [...visible, null].entries()) {
      if (n === special + 1) draw(ALL, [], () => this.lineOfAll());
      if (folder) draw(folder.name, this.told(folder), () => this.line(folder));
    }
    if (hidden.length > 0) draw("", [this.showHidden], () => this.lineOfHidden());
    this.lines = lines;
    arrange(this.list, [...lines.values()].map(({ element }) => element));
    for (const folder of visible) this.count(folder, lines.get(folder.name).element);
    this.select(this.current);
    if (focused && !this.list.contains(document.activeElement)) this.focus(focused);
    const text = quota ? t("used", { used: size(used), quota: size(quota) }) : t("usedNoQuota", { used: size(used) });
    this.usage.replaceChildren(text);
    if (quota) this.usage.append(h("meter", { min: 0, max: quota, high: quota * 0.9, value: used, "aria-label": text }));
  }

  /** What is in all folders. */
  lineOfAll() {
    return h("li", { data: { line: ALL } },
      h("a", { href: `#${new URLSearchParams({ folder: ALL })}`, data: { folder: ALL }, class: "depth0", on: { click: () => this.act.open(ALL) } },
        icon("mail"), h("span", { class: "name" }, t("allMail"))));
  }

  /** What shows the hidden folders, or hides them again. */
  lineOfHidden() {
    return h("li", { data: { line: "" } }, h("button", { type: "button", class: "quiet hide", "aria-expanded": String(this.showHidden), on: { click: () => { this.showHidden = !this.showHidden; this.draw(this.answer); } } }, t("hiddenFolders")));
  }

  /** The folders in a folder. */
  below({ name }) {
    return this.all.filter((one) => !one.role && one.name.startsWith(`${name}/`) && this.above(one).includes(name));
  }

  isFolded(folder, below) {
    return below.length > 0 && this.folded.has(folder.name);
  }

  /** What a line says and is made of, but for numbers and what is current: it is made anew when this changes. */
  told(folder) {
    const below = this.below(folder);
    return [folder.role, folderName(folder), this.above(folder), below.length > 0, this.isFolded(folder, below)];
  }

  /** Shows in a line what is unread in the folder, or how many drafts there are. */
  count(folder, line) {
    const below = this.below(folder);
    const unseen = folder.unseen + (this.isFolded(folder, below) ? below.reduce((sum, one) => sum + one.unseen, 0) : 0);
    const count = folder.role === "drafts" ? folder.messages : unseen;
    const link = line.querySelector("a"), shown = link.querySelector(".count") ?? h("span", { class: "count" });
    shown.textContent = number(count);
    shown.title = folder.role === "drafts" ? "" : t("unread", { count });
    if (count === 0) shown.remove();
    else if (!shown.isConnected) link.append(shown);
  }

  line(folder) {
    const above = this.above(folder), below = this.below(folder), folded = this.isFolded(folder, below);
    // How many messages are in it may have changed since.
    const more = button(t("folderMenu", { name: folderName(folder) }), "more", () => this.menu(this.named(folder.name) ?? folder, more), { kind: "small" });
    const depth = Math.min(above.length, 5);
    const twist = below.length > 0 && h("button", { type: "button", class: `bare twist depth${depth}`, "aria-label": t("subfolders", { name: folderName(folder) }), "aria-expanded": String(!folded), on: { click: () => this.fold(folder.name, !folded) } }, icon("down"));
    const line = h("li", { data: { line: folder.name } }, twist,
      h("a", {
        // Deep in others there is no room for the name.
        href: `#${new URLSearchParams({ folder: folder.name })}`, data: { folder: folder.name }, class: `depth${depth}`, title: folder.role ? null : folder.name,
        on: {
          click: () => this.act.open(folder.name),
          keydown: (event) => {
            const fold = { ArrowLeft: true, ArrowRight: false }[event.key];
            if (fold === undefined || below.length === 0) return;
            event.preventDefault();
            this.fold(folder.name, fold);
          },
        },
      },
        icon(folder.role ?? "folder"),
        h("span", { class: "name" }, folder.role ? folderName(folder) : folder.name.slice(above.length > 0 ? above.at(-1).length + 1 : 0))),
      more);
    line.addEventListener("dragover", (event) => {
      const { types } = event.dataTransfer;
      if (!types.includes("Files") && (!types.includes("application/x-postrider") || folder.name === this.act.source())) return;
      event.preventDefault();
      line.classList.add("target");
    });
    line.addEventListener("dragleave", () => line.classList.remove("target"));
    line.addEventListener("drop", (event) => {
      event.preventDefault();
      line.classList.remove("target");
      const { files } = event.dataTransfer;
      if (files.length > 0) take([...files], this.target(folder), () => this.act.refresh());
      else this.act.drop(folder.name);
    });
    return line;
  }

  /** Where files of messages go. */
  target(folder) {
    return { name: folder.name, shown: folderName(folder) };
  }

  /** Hides what lies in a folder, or shows it again; this browser remembers it. */
  fold(name, on) {
    this.folded[on ? "add" : "delete"](name);
    try { localStorage.setItem(FOLDED, JSON.stringify({ account: this.act.account, names: [...this.folded].slice(-MOST_FOLDED) })); } catch { /* nothing may be kept here */ }
    this.draw(this.answer);
  }

  /** The control that has the focus, if it is one of the list's. */
  focused() {
    const at = document.activeElement;
    if (!this.list.contains(at)) return null;
    return { line: at.closest("li").dataset.line, control: CONTROLS.find((control) => at.matches(control)) };
  }

  /** Gives the focus to the control that took the place of an earlier one, or to its folder. */
  focus({ line, control }) {
    const now = [...this.list.children].find((one) => one.dataset.line === line);
    (now?.querySelector(control) ?? now?.querySelector("a"))?.focus();
  }

  /** The folders that a folder lies in, as far as there are such. */
  above(folder) {
    if (folder.role) return [];
    const levels = folder.name.split("/");
    const names = levels.slice(1).map((_, n) => levels.slice(0, n + 1).join("/")).filter((name) => this.known.has(name));
    // Special folders are at the top level, together with their subfolders.
    return names.slice(Math.max(0, names.findLastIndex((name) => this.named(name).role)));
  }

  /** Whether something is being done to a folder, or to one that it lies in. */
  isChanging(name) {
    return this.changing !== null && (name === this.changing || name.startsWith(`${this.changing}/`));
  }

  select(name) {
    const isOther = name !== this.current;
    this.current = name;
    for (const line of this.list.children) {
      const link = line.querySelector("a");
      const current = link?.dataset.folder === name;
      line.classList.toggle("current", current);
      if (current) link.setAttribute("aria-current", "page");
      else link?.removeAttribute("aria-current");
    }
    if (!isOther) return;
    // Keys and addresses lead also to what is beyond the edge.
    this.list.querySelector(".current")?.scrollIntoView({ block: "nearest" });
  }

  menu(folder, at) {
    const own = !folder.role;
    menu(at, [
      own && [t("renameFolder"), () => this.rename(folder)],
      own && [folder.subscribed ? t("unsubscribe") : t("subscribe"), () => this.wish("folders/subscribe", { name: folder.name, subscribed: !folder.subscribed })],
      [t("importMessages"), () => choose(this.target(folder), () => this.act.refresh())],
      ["junk", "trash"].includes(folder.role) && [t("emptyFolder"), () => this.empty(folder), "danger"],
      own && [t("deleteFolder"), () => this.delete(folder), "danger"],
      [t("newFolder"), () => this.create(own || folder.role === "archive" ? `${folder.name}/` : "")],
    ]);
  }

  /** Has something done to a folder, and looks what folders there are then. */
  async change(path, wish) {
    this.changing = wish.name;
    try {
      await post(path, wish);
      await this.load();
    } finally {
      this.changing = null;
    }
  }

  async wish(path, wish) {
    try {
      await this.change(path, wish);
      return true;
    } catch (error) {
      toast(error.message, { problem: true });
      return false;
    }
  }

  async create(begin = "") {
    const name = await prompt(t("newFolderName"), begin);
    if (name && await this.wish("folders", { name })) this.act.open(name);
  }

  async rename(folder) {
    const to = await prompt(t("renameFolderTo", { name: folder.name }), folder.name);
    if (!to || to === folder.name) return;
    const filing = await Filing.into(folder.name);
    if (!await this.wish("folders/rename", { name: folder.name, to })) return;
    if (this.current === folder.name || this.current.startsWith(`${folder.name}/`)) this.act.open(to + this.current.slice(folder.name.length));
    await filing.follow(to);
  }

  async empty(folder) {
    const sure = (count) => confirm(t("emptyFolderSure", { count, name: folderName(folder) }), t("emptyFolder"));
    if (await this.deletes("folders/empty", folder, sure)) this.act.refresh();
  }

  async delete(folder) {
    const { name } = folder, { words } = await Filing.into(name);
    const sure = (count) => confirm([t("deleteFolderSure", { name, count }), words && t("filtersFile", { name, rules: words })].filter(Boolean).join(" "), t("deleteFolder"));
    if (await this.deletes("folders/delete", folder, sure) && this.current === name) this.act.open("INBOX");
  }

  /** Deletes as many messages as somebody was asked about, and asks again where more have come. Whether it was done. */
  async deletes(path, { name, messages }, sure) {
    while (await sure(messages)) {
      try {
        await this.change(path, { name, messages });
        return true;
      } catch (error) {
        if (error.answer?.type !== "folder-full") {
          toast(error.message, { problem: true });
          return false;
        }
        messages = Number(error.answer.values.count);
      }
    }
    return false;
  }
}

/** The filters that file into a folder or into what lies in it. */
class Filing {
  static async into(name) {
    const script = await get("script").catch(() => null);
    return new Filing(name, script);
  }

  constructor(name, script) {
    this.name = name;
    this.script = script;
    const rules = (script?.rules?.rules ?? []).map((rule, n) => ({ ...rule, shown: rule.name || `${t("filters")} ${n + 1}` }));
    const found = rules.filter((rule) => rule.actions.some((action) => this.files(action))).map((rule) => rule.shown);
    // A script that is not a list of rules may name the folder in its text.
    if (script && !script.rules && script.source?.includes(`"${name}"`)) found.push(script.name ?? t("filters"));
    this.words = found.join(", ");
  }

  files({ kind, folder }) {
    return kind === "file" && (folder === this.name || folder.startsWith(`${this.name}/`));
  }

  /** Has them file into the folder by its new name. */
  async follow(to) {
    const { words, script } = this;
    if (!words) return;
    try {
      if (!script.rules || !script.name) throw new Error();
      const anew = (action) => (this.files(action) ? { ...action, folder: to + action.folder.slice(this.name.length) } : action);
      const rules = script.rules.rules.map((rule) => ({ ...rule, actions: rule.actions.map(anew) }));
      await post("script", { name: script.name, content: { rules: { ...script.rules, rules } }, tag: script.tag });
      toast(t("filtersFollow", { rules: words }));
    } catch {
      toast(t("filtersFile", { name: this.name, rules: words }), { problem: true });
    }
  }
}
