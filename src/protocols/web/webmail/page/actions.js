// Actions on messages: marking, moving, removing.

import { post } from "./api.js";
import { confirm, open } from "./dialogs.js";
import { h, icon, orToast, toast } from "./elements.js";
import { t } from "./texts.js";

/** All of the messages, also those that are not moved along. */
function whole(messages) {
  const all = new Map(messages);
  for (const [folder, uids] of messages.aside ?? []) all.set(folder, [...all.get(folder) ?? [], ...uids]);
  return all;
}

/** Acts on the messages of a list; `App` has the list, the reader and the folders. */
export class MessageActions {
  /** The messages an act is about, their UIDs by folder: those selected, or the one that is stood at or open. */
  meant() {
    if (this.list.selected.size > 0) return this.list.messages([...this.list.selected]);
    const line = this.list.lines[this.list.at];
    if (this.elsewhere) return this.list.messages(line ? [line.id] : []);
    // Moving on quickly means the message being loaded, not the one still on the page.
    const { coming } = this.reader;
    if (coming) return new Map([[coming.folder, [coming.uid]]]);
    if (this.reader.message) return this.opened();
    return this.list.messages(line ? [line.id] : []);
  }

  /** The message that is open, or on its way to be. */
  get current() {
    return this.reader.coming ?? this.reader.message;
  }

  /** Whether the focus is in the list, at another line than when the message was opened. */
  get elsewhere() {
    const { list } = this;
    return document.activeElement === list.box && list.at > -1 && (!this.current || list.current !== this.opener);
  }

  /** The role of the folder that the messages lie in, if they lie in one. */
  role(messages) {
    const [folder, ...others] = messages.size > 0 ? messages.keys() : [this.list.question.folder];
    return others.length === 0 ? this.folders.named(folder)?.role : undefined;
  }

  /** The message that is open. */
  opened() {
    const { message } = this.reader;
    return new Map(message ? [[message.folder, [message.uid]]] : []);
  }

  /** Sets a flag or takes it away; whether that is done. What was shown before the server has refused it is looked at again. */
  async mark(messages, flag, on) {
    let done = true;
    for (const [folder, uids] of whole(messages)) {
      this.list.mark(folder, uids, flag, on);
      await post("messages/mark", { folder, uids, [on ? "add" : "remove"]: [flag] }).catch((error) => {
        toast(error.message, { problem: true });
        done = false;
      });
      this.refreshSoon();
    }
    return done;
  }

  async markOpen(flag, on) {
    const { message } = this.reader, { flags } = message;
    message.flags = flags.filter((known) => known !== flag);
    if (on) message.flags.push(flag);
    this.reader.drawActions();
    if (!await this.mark(this.opened(), flag, on)) {
      message.flags = flags;
      if (this.reader.message === message) this.reader.drawActions();
      return;
    }
    // Who has gone on meanwhile stays there.
    if (flag === "seen" && !on && this.current === message) this.back();
  }

  /** Shows the message after those that go. */
  leaveMessages(messages) {
    // What was asked for a moment before is no longer to be had if the move overtakes it.
    const open = this.current ?? this.reader.missing, next = this.list.after(messages);
    this.list.select([]);
    this.list.drop(messages);
    if (!open || !messages.get(open.folder)?.includes(open.uid)) return;
    const goesOn = next && !matchMedia("(max-width: 760px)").matches;
    // Whoever has the keys in the message has them in the next one, or else in the list.
    if (this.reader.element.contains(document.activeElement)) (goesOn ? this.reader.element : this.list.box).focus();
    this.reader.clear();
    if (goesOn) this.openMessage(next.uid, next.folder);
    else this.go(this.list.question.folder);
  }

  async move(to, messages) {
    const target = to.to ?? this.folders.role(to.role)?.name;
    const moved = new Map([...messages].filter(([folder]) => folder !== target));
    if (moved.size === 0) return;
    const done = [];
    try {
      for (const [folder, uids] of moved) done.push([folder, await post("messages/move", { folder, uids, ...to })]);
    } catch (error) {
      toast(error.message, { problem: true });
    }
    if (done.length > 0) {
      if (!to.copy) this.leaveMessages(new Map(done.map(([folder]) => [folder, moved.get(folder)])));
      const count = done.reduce((sum, [, put]) => sum + put.uids.length, 0);
      const last = to.copy || count === 0 ? null : { done };
      const undo = last ? { action: t("undo"), act: () => this.moveBack(last) } : {};
      const said = count === 0 ? t("movedNone") : to.role === "trash" ? t("deleted", { count }) : t(to.copy ? "copied" : "moved", { count, folder: this.folders.shown(done[0][1].to) });
      const shown = toast(said, undo);
      if (last) this.moved = Object.assign(last, { shown });
    }
    await this.refresh();
  }

  /** Takes back the last move. */
  moveBack(moved = this.moved) {
    if (!moved) return;
    if (this.moved === moved) this.moved = null;
    const { done, shown } = moved;
    shown.remove();
    const back = ([folder, put]) => post("messages/move", { folder: put.to, uids: put.uids, to: folder });
    orToast(Promise.all(done.map(back)).finally(() => this.refreshSoon()));
  }

  /** To the trash; for good what lies there. */
  async remove(messages) {
    const [first] = messages;
    if (!first || this.role(messages) !== "trash") {
      await this.move({ role: "trash" }, whole(messages));
      return;
    }
    const [folder, uids] = first;
    if (!await confirm(t("deleteForGoodSure", { count: uids.length }), t("deleteForGood"))) return;
    await orToast(post("messages/remove", { folder, uids }).then(() => {
      this.leaveMessages(messages);
      toast(t("deleted", { count: uids.length }));
      return this.refresh();
    }));
  }

  /** Asks where the messages go. */
  async choose() {
    const messages = this.meant();
    if (messages.size === 0) return;
    const count = [...messages.values()].reduce((sum, uids) => sum + uids.length, 0);
    const elsewhere = (name) => messages.size > 1 || !messages.has(name);
    const copy = h("input", { type: "checkbox" });
    const list = h("ul", { class: "choose" });
    const filter = h("input", { type: "search", placeholder: t("findFolder"), "aria-label": t("findFolder"), autofocus: true });
    const box = h("form", { method: "dialog" }, filter, list, h("label", {}, copy, t("copyInstead")));
    // A special folder is known by the name that it is shown with, any other also by those of the folders that it lies in.
    const called = (folder) => (folder.role ? this.folders.shown(folder.name) : folder.name);
    const fitting = () => this.folders.all.filter((folder) => elsewhere(folder.name) && called(folder).toLowerCase().includes(filter.value.toLowerCase()));
    const draw = () => list.replaceChildren(...fitting().map((folder) => h("li", {}, h("button", { type: "submit", value: folder.name }, icon(folder.role ?? "folder"), called(folder)))));
    filter.addEventListener("input", draw);
    draw();
    const to = await open(t("moveTitle", { count }), box, { initial: filter });
    if (to) await this.move({ to, copy: copy.checked }, messages);
  }

  junk() {
    const messages = this.meant();
    this.move({ role: this.role(messages) === "junk" ? "inbox" : "junk" }, messages);
  }

  flag() {
    const messages = this.meant(), open = this.reader.message;
    const lines = this.list.lines.filter((line) => messages.get(line?.folder)?.includes(line.uid));
    const on = lines.length === 0 ? !open?.flags.includes("flagged") : lines.some((line) => !line.flags.includes("flagged"));
    const only = messages.size === 1 && messages.get(open?.folder);
    if (only?.length === 1 && only[0] === open.uid) this.markOpen("flagged", on);
    else this.mark(messages, "flagged", on);
  }
}
