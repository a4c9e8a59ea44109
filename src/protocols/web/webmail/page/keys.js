// Shortcuts, and the window that lists them.

import { open } from "./dialogs.js";
import { h, isComposed } from "./elements.js";
import { keyNames, t } from "./texts.js";

const LIST = [
  ["j k ↓ ↑", "keyNext"], ["Enter o", "keyOpen"], ["x Space", "keySelect"], ["Shift ↓ ↑", "keySelectRange"], ["Esc u", "keyBack"],
  ["c", "compose"], ["r", "reply"], ["a", "replyAll"], ["f", "forward"], ["Shift E", "editAsNew"], ["Ctrl Enter", "keySend"], ["z", "keyUndo"],
  ["e", "archiveIt"], ["# Delete", "deleteIt"], ["!", "junkIt"], ["m", "moveTo"], ["s", "flag"], ["Shift U", "markUnread"],
  ["/", "search"], ["Ctrl P", "print"], ["n", "refresh"], ["g then i d s a t j", "keyGo"], ["?", "help"],
];

const GO = { i: "inbox", d: "drafts", s: "sent", a: "archive", t: "trash", j: "junk" };

/** Actions on a message. */
const OF_MESSAGES = new Set(["#", "Delete", "!", "e", "m", "s", "U", "x", "r", "a", "f", "E"]);

/** Listens; `act` has a function for each thing that can be done. */
export function listen(act) {
  let going = 0;
  document.addEventListener("keydown", (event) => {
    // A click beside the controls of a window takes the focus out of it; the keys are still not for the page below.
    const covered = document.querySelector("dialog");
    const typing = covered || event.target.closest?.("input:not([type=checkbox]), textarea, select, .menu");
    if ((event.ctrlKey || event.metaKey) && event.key === "p" && !event.defaultPrevented && !covered && act.print()) {
      event.preventDefault();
      return;
    }
    if (event.defaultPrevented || isComposed(event) || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (Date.now() - going < 1500 && GO[event.key]) {
      going = 0;
      event.preventDefault();
      act.go(GO[event.key]);
      return;
    }
    const acts = {
      j: () => act.step(1), k: () => act.step(-1), ArrowDown: () => act.step(1), ArrowUp: () => act.step(-1), o: act.openCurrent, x: act.toggle, " ": null,
      Escape: act.back, u: act.back, c: act.compose, z: act.undo, r: () => act.write("reply"), a: () => act.write("replyAll"), f: () => act.write("forward"), E: () => act.write("asNew"),
      e: () => act.move({ role: "archive" }), "#": act.remove, Delete: act.remove, "!": act.junk, m: act.choose, s: act.flag, U: act.unread,
      "/": act.search, n: act.refresh, "?": help, g: () => { going = Date.now(); },
    };
    const chosen = acts[event.key];
    if (!chosen) return;
    // With the focus on a folder, keys mean the folder, and must not remove a message.
    if (OF_MESSAGES.has(event.key) && event.target.closest?.("#folders")) return;
    // Buttons and links keep what browsers do with these.
    if (["ArrowDown", "ArrowUp"].includes(event.key) && event.target.closest?.("#reader")) return;
    event.preventDefault();
    chosen();
  });
}

/** What can be typed into the search. */
const SEARCH = [
  ["word", "findWord"], ["from:ann to: cc: subject: body:", "findField"], ["filename:report", "findFile"], ["in:sent in:\"My folder\"", "findFolderIn"], ["is:unread is:flagged is:answered is:forwarded is:draft", "findFlag"],
  ["has:attachment", "hasAttachments"], ["before:2026-01-31 after: on:", "findDate"], ["larger:5M smaller:", "findSize"], ["ann OR bob", "findEither"], ["-word", "findNot"], ["\"two words\"", "findTogether"],
];

export function help() {
  const rows = LIST.map(([keys, name]) => h("tr", {}, h("th", { scope: "row" }, keys.split(" ").map((one) => (one === "then" ? ` ${keyNames(one)} ` : h("kbd", {}, keyNames(one))))), h("td", {}, t(name))));
  const finds = SEARCH.map(([words, name]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, words)), h("td", {}, t(name))));
  return open(t("help"), h("div", { class: "help" }, h("table", { class: "keys" }, h("tbody", {}, rows)), h("h3", {}, t("searchHelp")), h("table", { class: "keys finds" }, h("tbody", {}, finds))), { wide: true });
}
