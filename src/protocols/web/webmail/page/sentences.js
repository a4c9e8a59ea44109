// What the server says in English sentences of its own, in the user's language: why the filter takes a message for junk, what is wrong
// in a script, why something is refused. What it says otherwise stays as it is.

/** How often a {gap} of a sentence is looked into, for it may hold a sentence again. */
const DEEPEST = 3;
/** What is longer, in characters, is no sentence of the server: messages bring such texts along. */
const LONGEST = 400;

let whole = new Map(), gapped = [];

/** Takes the sentences of a language: each with its {gaps} in English, and what it is called there. */
export function learn(sentences) {
  const entries = Object.entries(sentences);
  const has = ([english]) => /\{\w+\}/.test(english);
  whole = new Map(entries.filter((entry) => !has(entry)));
  // Those that say more come first, and before those that begin with a gap: it would take the words of others.
  const words = (english) => (english.startsWith("{") ? 0 : 1000) + english.replace(/\{\w+\}/g, "").length;
  gapped = entries.filter(has).sort(([one], [other]) => words(other) - words(one)).map(([english, own]) => ({ form: formOf(english), own }));
}

/** Gaps that stand beside others, and what can be in them. */
const FORMS = { subject: "the \\S+ (?:command|test)", hint: "(?:;| \\().*|", count: "[\\d.,]+" };

function formOf(english) {
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pieces = english.split(/\{(\w+)\}/).map((piece, n) => (n % 2 ? `(?<${piece}>${FORMS[piece] ?? ".*?"})` : literal(piece)));
  return new RegExp(`^${pieces.join("")}$`, "s");
}

/** A sentence or a part of one in the user's language; as it came if that has no words for it. */
export function translated(text, depth = 0) {
  if (!text || whole.size === 0) return text;
  return find(text, depth) ?? withoutDot(text, depth) ?? text;
}

function find(text, depth) {
  if (text.length > LONGEST) return null;
  const own = whole.get(text);
  if (own !== undefined) return own;
  if (depth >= DEEPEST) return null;
  for (const { form, own: sentence } of gapped) {
    const gaps = form.exec(text)?.groups;
    if (gaps) return sentence.replace(/\{(\w+)\}/g, (_, gap) => (gap === "list" ? listed(gaps[gap], depth + 1) : translated(gaps[gap], depth + 1)));
  }
  return null;
}

/** What stands alone has a capital and a dot that it has not within another sentence. */
function withoutDot(text, depth) {
  if (!/^\p{Lu}.*\.$/su.test(text)) return null;
  const own = find(text[0].toLowerCase() + text.slice(1, -1), depth);
  return own === null ? null : `${own[0].toUpperCase()}${own.slice(1)}.`;
}

const listed = (text, depth) => text.split(/(?<=\)), /).map((one) => translated(one, depth)).join(", ");

/** The filter's reasons, as they stand in X-Spam-Reason: weights with what was seen, and what that was found in. How numbers and pairs look is told. */
export function reasons(text, { weight, labelled }) {
  return text.split(/;\s+(?=[+-]\d+\.\d )/).map((one) => {
    const [, points, seen] = /^([+-]\d+\.\d) (.*)$/s.exec(one) ?? [];
    return seen === undefined ? one : `${weight(Number(points))} ${described(seen, labelled)}`;
  }).join("; ");
}

function described(seen, labelled) {
  const own = find(seen, 0);
  if (own !== null) return own;
  for (let at = seen.lastIndexOf(": "); at > 0; at = seen.lastIndexOf(": ", at - 1)) {
    const what = find(seen.slice(0, at), 0);
    if (what !== null) return labelled(what, translated(seen.slice(at + 2)));
  }
  return seen;
}
