// The rows of the list of messages. Those whose lines do not change stay, so that a click on one is not lost.

import { displayName } from "./addresses.js";
import { arrange, avatar, h, icon } from "./elements.js";
import { longDate, number, shortDate, t } from "./texts.js";

/** What one has written oneself. */
export const OWN = ["sent", "drafts"];

/** Whether a line stands for messages of several folders. */
export const isSpread = (line) => Boolean(line.conversation?.elsewhere);

export class Rows {
  constructor(list) {
    this.list = list;
    /** The rows that are drawn, by the ids of their lines. */
    this.drawn = new Map();
  }

  /** Draws the rows from one place to another. */
  draw(first, last) {
    const { lines, height, space } = this.list, drawn = new Map();
    for (let n = first; n < last; n += 1) {
      const line = lines[n], id = line && !drawn.has(line.id) ? line.id : n;
      const told = this.told(line), known = this.drawn.get(id);
      const one = known?.told === told ? known : { told, ...this.row(line) };
      this.update(one, n, line, height);
      drawn.set(id, one);
    }
    this.drawn = drawn;
    arrange(space, [...drawn.values()].map(({ row }) => row));
  }

  /** Who is named on a line: who wrote it, or of what one has written oneself, who gets it. */
  named(line) {
    const outgoing = OWN.includes(this.list.act.role(line.folder)) && !isSpread(line);
    const people = outgoing ? line.to : line.from;
    return { person: people[0], who: (outgoing ? t("toPrefix") : "") + (people.map(displayName).join(", ") || t(outgoing ? "nobody" : "noSender")) };
  }

  /** The folder that a line is shown with. */
  placed(line) {
    return this.list.across && this.list.act.shown(line.folder);
  }

  /** What a row is made of, but for what `update` changes in it: it is made anew when this changes. */
  told(line) {
    if (!line) return "";
    const { person, who } = this.named(line), { folder, subject, preview, arrived, attachments, conversation } = line;
    return JSON.stringify([person, who, folder, this.placed(line), subject || t("noSubject"), preview, shortDate(arrived), attachments, conversation?.messages,
      line.flags.includes("answered"), line.flags.includes("forwarded")]);
  }

  /** Sets what changes in a row that stays: where it is, and whether it is read, flagged, selected, stood at. */
  update(drawn, n, line, height) {
    const { row, star, mark, isPicked } = drawn;
    Object.assign(drawn, { n, line, isPicked: this.list.selected.has(line?.id) });
    row.setAttribute("aria-posinset", String(n + 1));
    row.setAttribute("aria-setsize", String(this.list.total));
    row.setAttribute("aria-selected", String(drawn.isPicked));
    row.style.top = `${n * height}px`;
    if (!line) return;
    const has = (flag) => line.flags.includes(flag), count = line.conversation?.messages ?? 1, place = this.placed(line);
    row.id = `row${n}`;
    row.classList.toggle("unread", !has("seen"));
    row.classList.toggle("at", n === this.list.at);
    star.classList.toggle("on", has("flagged"));
    if (drawn.isPicked !== isPicked) mark.replaceChildren(drawn.isPicked ? h("span", { class: "avatar picked" }, icon("check")) : avatar(this.named(line).person));
    const words = [place, count > 1 && t("messageCount", { count }), !has("seen") && t("unreadMail"), has("flagged") && t("flaggedMail"), has("answered") && t("answeredMail"), has("forwarded") && t("forwardedMail"), line.attachments && t("hasAttachments")];
    // In visual order, so that voice users can read out a row (WCAG 2.5.3).
    row.setAttribute("aria-label", [this.named(line).who, shortDate(line.arrived), line.subject || t("noSubject"), ...words.filter(Boolean)].join(", "));
  }

  /** The row of a line, and the parts of it that change. */
  row(line) {
    const row = h("div", { class: "row", role: "option" });
    if (!line) {
      row.classList.add("empty");
      row.setAttribute("aria-label", t("loading"));
      return { row };
    }
    const { id } = line, has = (flag) => line.flags.includes(flag);
    // A message that has arrived meanwhile moves the row.
    const now = () => this.drawn.get(id) ?? { n: this.list.lines.findIndex((one) => one?.id === id), line };
    row.draggable = true;
    const count = line.conversation?.messages ?? 1, place = this.placed(line);
    const mark = h("span", { class: "mark" }), star = h("span", { class: "star" }, icon("flag"));
    row.append(mark,
      h("span", { class: "who" }, h("span", { class: "names" }, this.named(line).who), count > 1 && h("span", { class: "many", "aria-hidden": "true" }, number(count))),
      h("time", { title: longDate(line.arrived) }, shortDate(line.arrived)),
      h("span", { class: "what" },
        has("answered") && icon("reply"), has("forwarded") && icon("forward"),
        h("span", { class: "subject" }, line.subject || t("noSubject")), h("span", { class: "preview", "aria-hidden": "true" }, line.preview)),
      h("span", { class: "signs" }, place && h("small", { class: "place" }, place), line.attachments && icon("attach"), star));
    mark.addEventListener("click", (event) => { event.stopPropagation(); this.list.toggle(now().n, event.shiftKey); });
    star.addEventListener("click", (event) => {
      event.stopPropagation();
      const { folder, uid, flags } = now().line;
      this.list.act.flag(new Map([[folder, [uid]]]), !flags.includes("flagged"));
    });
    row.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) this.list.toggle(now().n, event.shiftKey);
      else {
        this.list.box.focus({ preventScroll: true });
        this.list.open(now().n);
      }
    });
    row.addEventListener("dragstart", (event) => {
      if (!this.list.selected.has(id)) this.list.select([id]);
      event.dataTransfer.setData("application/x-postrider", "messages");
      event.dataTransfer.effectAllowed = "move";
    });
    return { row, star, mark };
  }
}
