// Messages from files into a folder: single ones (.eml), and those of an mbox, which are found here and sent one by one.

import { give } from "./api.js";
import { button, h, toast } from "./elements.js";
import { labelled, t } from "./texts.js";

/** How long until a server that is busy is asked again, and how often. */
const PAUSE = 3_000;
const TRIES = 20;

/** Lets somebody choose files. */
export function choose(folder, done) {
  const chooser = h("input", { type: "file", multiple: true, hidden: true, class: "importing", accept: ".eml,.mbox,.mbx,message/rfc822,application/mbox", on: {
    change: () => { chooser.remove(); take([...chooser.files], folder, done); },
    cancel: () => chooser.remove(),
  } });
  document.body.append(chooser);
  chooser.click();
}

/** Takes files over, one message after the other, and tells how far it is; `folder` has its `name`, and `shown` is that for people. */
export async function take(files, { name: folder, shown }, done) {
  const note = h("span", {}, t("importing", { count: 0, name: shown }));
  let stopped = false;
  const notice = h("div", { class: "toast" }, note, button(t("cancel"), null, () => { stopped = true; }, { text: true }));
  document.querySelector("#toasts").append(notice);
  let count = 0, known = 0;
  const left = new Set();
  try {
    for (const file of files) {
      for await (const message of messages(file)) {
        if (stopped) break;
        try {
          const stored = await store(folder, message, () => stopped);
          count += 1;
          if (stored.known) known += 1;
          note.textContent = t("importing", { count, name: shown });
        } catch (error) {
          // An invalid or too large message does not affect others; any other error would stop them too.
          if (![400, 413].includes(error.status)) throw Object.assign(error, { file: file.name });
          left.add(labelled(file.name, error.message));
        }
      }
      if (stopped) break;
    }
    if (count > 0 || left.size === 0) toast([t(stopped ? "importStopped" : "imported", { count, name: shown }), known > 0 && t("importKnown", { count: known })].filter(Boolean).join(" "));
  } catch (error) {
    left.add(labelled(error.file ?? files[0].name, t("importEnded", { count, name: shown, why: error.message })));
  }
  notice.remove();
  for (const one of left) toast(one, { problem: true });
  if (count > 0) done();
}

/** Stores one; a server that is busy for a moment, or cannot be reached, is asked again: what it has stored already it knows. */
async function store(folder, message, stopped) {
  for (let n = 1; ; n += 1) {
    try {
      return await give("messages/import", { folder }, message);
    } catch (error) {
      if (![0, 502, 503, 504].includes(error.status) || n >= TRIES || stopped()) throw error;
      await new Promise((go) => { setTimeout(go, PAUSE); });
    }
  }
}

const [LF, CR] = [10, 13];
const FROM = [70, 114, 111, 109, 32];
const DIGIT = (octet) => octet >= 48 && octet <= 57;
const begins = (octets, at) => FROM.every((octet, n) => octets[at + n] === octet);
/** A line before a message: `From`, an address and a date with a time (RFC 4155); some programs write none, and then in no line of a file. */
function separates(octets, at, undated = false) {
  if (!begins(octets, at)) return false;
  if (undated && beforeField(octets, at)) return true;
  for (let n = at + 5; n < Math.min(at + 300, octets.length) && octets[n] !== LF; n += 1) {
    if (DIGIT(octets[n]) && octets[n + 1] === 58 && DIGIT(octets[n + 2]) && DIGIT(octets[n + 3]) && octets[n + 4] === 58) return true;
  }
  return false;
}

/** Whether the next line is a field of a header. */
function beforeField(octets, at) {
  const line = octets.indexOf(LF, at) + 1;
  let end = line;
  while (octets[end] > 32 && octets[end] < 127 && octets[end] !== 58) end += 1;
  return line > 0 && end > line && octets[end] === 58;
}

/** How much of a file is read at a time, and how much of a line has to be there to know what it is. */
const PIECE = 1 << 20;
const LINE = 2_048;

/** The messages in a file, each as a slice of it: only the current one is in memory. */
export async function* messages(file) {
  const head = new Uint8Array(await file.slice(0, LINE).arrayBuffer());
  const undated = !separates(head, 0);
  if (undated && !separates(head, 0, true)) {
    yield file;
    return;
  }
  let start = 0, at = 1;
  while (at < file.size) {
    const octets = new Uint8Array(await file.slice(at - 1, at + PIECE + LINE).arrayBuffer());
    // Octet 0 is the one before; what begins in the last ones is looked at with the next piece.
    for (let n = octets.indexOf(LF); n >= 0 && n < PIECE; n = octets.indexOf(LF, n + 1)) {
      const next = octets[n + 1] === CR && octets[n + 2] === LF ? n + 2 : octets[n + 1] === LF ? n + 1 : -1;
      // Behind an empty line.
      if (next < 0 || !separates(octets, next + 1, undated)) continue;
      const end = at - 1 + next + 1;
      yield file.slice(start, end);
      start = end;
    }
    at += PIECE;
  }
  yield file.slice(start);
}
