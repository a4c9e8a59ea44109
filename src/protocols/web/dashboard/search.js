// @ts-check
// The pages that ask for something: queue, mailboxes, events, journeys.

import { age, byId, clock, day, element, moment, number, rowsOf, size } from "./elements.js";
import { quota } from "./tiles.js";

/** @typedef {(path: string) => Promise<any>} Ask */

/** Whether a later part of the queue is looked at, which must not be taken away. */
let later = false;
/** Which part of the queue is the last one asked for: the answer to an earlier question must not take its place. */
let part = 0;

/** Whether the queue shown is to be kept fresh. */
export const isFirstPart = () => !later;

/** @param {Ask} ask @param {string} [after] */
export async function showQueue(ask, after) {
  later = after !== undefined;
  part += 1;
  const mine = part;
  const answer = await ask(`queue?limit=50${after ? `&after=${after}` : ""}`);
  if (mine !== part) return;
  const now = Date.now() * 1000;
  rowsOf("entries", [answer.entries, Math.floor(now / 60e6)], () => answer.entries.map((/** @type {any} */ one) => [
    traced(one.id),
    element("span", {}, moment(one.received), ` (${age(one.received, now)})`),
    one.sender || "<>",
    size(one.size),
    element("ul", { class: "plain" }, ...one.recipients.map((/** @type {any} */ to) => element("li", {}, `${to.address}: ${to.state}, ${to.attempts} attempts, next `, moment(to.due), to.last_reply ? element("small", { class: "quiet block" }, to.last_reply) : null)), one.hold_reason ? element("li", { class: "bad" }, `Held: ${one.hold_reason}`) : null),
  ]), "The queue is empty.");
  const more = /** @type {HTMLButtonElement} */ (byId("entries-more"));
  more.hidden = answer.next === null;
  more.onclick = () => void showQueue(ask, answer.next);
}

/** @param {Ask} ask */
export async function showMailboxes(ask) {
  const by = /** @type {HTMLInputElement | null} */ (document.querySelector("#by input:checked"))?.value ?? "quota";
  const { mailboxes } = await ask(`mailboxes?by=${by}&limit=200`);
  rowsOf("usage", mailboxes, () => mailboxes.map((/** @type {any} */ one) => [one.address, size(one.stored), number(one.messages), quota(one)]), "All mailboxes are empty.");
}

/** @param {string} id */
const traced = (id) => element("a", { href: `#trace?about=${encodeURIComponent(id)}` }, element("code", {}, id));

const form = () => /** @type {HTMLFormElement} */ (byId("event-search"));

/** Whether the events found are to be kept fresh. */
export const follows = () => /** @type {HTMLInputElement} */ (form().elements.namedItem("follow")).checked && !older;

/** Whether older events are looked at, so that new ones must not push them away. */
let older = false;
/** Which search is the last one asked for: an older one that is still looking gives up. */
let search = 0;
/** How often a search that has found nothing yet continues by itself. */
const GOES_ON = 30;

/** @param {Ask} ask @param {number} [from] */
export async function showEvents(ask, from) {
  const asked = new FormData(form());
  older = from !== undefined;
  search += 1;
  const mine = search;
  const question = new URLSearchParams({ limit: "100", text: String(asked.get("text")), kind: String(asked.get("kind")) });
  const since = Number(asked.get("since"));
  if (since > 0) question.set("since", String(Math.round((Date.now() / 1000 - since) * 1e6)));
  let answer;
  for (let round = 0; ; round += 1) {
    if (from !== undefined) question.set("from", String(from));
    answer = await ask(`events?${question}`);
    if (mine !== search) return;
    if (answer.events.length > 0 || answer.next === null || round >= GOES_ON) break;
    from = answer.next;
    byId("event-answer").textContent = `Nothing yet; everything since ${clock(answer.back_to)} on ${day(answer.back_to)} was searched…`;
  }
  rowsOf("event-list", answer.events, () => answer.events.map((/** @type {any} */ one) => [
    moment(one.at),
    one.kind,
    element("details", {}, element("summary", {}, one.words), ids(one), element("pre", {}, JSON.stringify(one.details, null, 1))),
  ]), "No matching events are known.");
  const found = `${answer.events.length}${answer.more ? " or more" : ""} events`;
  const words = answer.back_to === null ? found : `${found} since ${clock(answer.back_to)} on ${day(answer.back_to)}`;
  if (byId("event-answer").textContent !== words) byId("event-answer").textContent = words;
  const button = /** @type {HTMLButtonElement} */ (byId("event-older"));
  button.hidden = answer.next === null;
  button.onclick = () => void showEvents(ask, answer.next);
}

/** How many events the log on the first page shows. */
const TAIL = 25;

/** The newest events, of one kind if one is chosen. @param {Ask} ask */
export async function showTail(ask) {
  const kind = /** @type {HTMLSelectElement} */ (document.querySelector("#tail select")).value;
  const { events } = await ask(`events?${new URLSearchParams({ limit: String(TAIL), kind })}`);
  // Another kind may have been chosen meanwhile.
  if (kind !== /** @type {HTMLSelectElement} */ (document.querySelector("#tail select")).value) return;
  rowsOf("recent", [kind, events], () => events.map((/** @type {any} */ one) => [moment(one.at), one.kind, one.words, journey(one)]), kind ? "Nothing of this kind has happened." : "Nothing has happened yet.");
}

/** @param {any} event a link to all that belongs to it */
function journey(event) {
  const [what, id] = ["mail", "queue", "session"].map((name) => [name, event[name]]).find(([, id]) => id) ?? [];
  return id ? element("a", { href: `#trace?about=${encodeURIComponent(id)}`, title: `What else belongs to this ${what}` }, element("code", {}, id)) : "";
}

/** @param {any} event */
function ids(event) {
  const parts = [];
  for (const name of ["mail", "queue", "session"]) if (event[name]) parts.push(element("span", {}, ` ${name} `, traced(event[name])));
  return element("p", {}, event.subject ? `About ${event.subject}.` : "", ...parts);
}

/** @param {Ask} ask @param {string} about */
export async function showTrace(ask, about) {
  const place = byId("journeys");
  const status = byId("trace-answer");
  status.textContent = "Looking…";
  let found;
  try {
    found = await ask(`trace?about=${encodeURIComponent(about)}`);
  } catch (error) {
    place.replaceChildren();
    status.textContent = error instanceof Error ? error.message : String(error);
    return;
  }
  const steps = (/** @type {any[]} */ list) => element("ol", { class: "journey" }, ...list.map((one) => element("li", {}, moment(one.at), element("span", {}, one.words))));
  const parts = found.journeys.map((/** @type {any} */ one) => element("article", {}, element("h3", {}, element("code", {}, one.mail), ` ${one.ending}`), steps(one.steps)));
  if (found.besides.length > 0) parts.push(element("article", {}, element("h3", {}, "Without a message"), steps(found.besides)));
  place.replaceChildren(...parts);
  const count = found.journeys.length;
  const back = found.mentions_back_to;
  const looked = back === null ? "" : ` Recipients refused to this sender, and messages this account sent in another name, were looked for back to ${new Date(back / 1000).toLocaleString()} only; search the events for the address to see older ones.`;
  const nothing = back === null ? "Nothing is known about that, or it has already been deleted." : "Nothing was found.";
  status.textContent = (parts.length === 0 ? nothing : `${count} ${count === 1 ? "message" : "messages"}${found.cut ? "; there may be more, only the newest are shown" : ""}${looked ? "." : ""}`) + looked;
}
