// @ts-check
// The first page.

import { chart } from "./charts.js";
import { age, byId, clock, element, meter, moment, number, rowsOf, share, size, some } from "./elements.js";
import { tablesOfKeeping, tilesOfKeeping, tilesOfReports, troublesOfKeeping, unusable } from "./reports.js";

const DAY = 86400e6;

/** @param {any} facts the answer of /api/v1/overview */
export function showOverview(facts) {
  const troubles = troublesOf(facts);
  const health = byId("health");
  const words = troubles.length === 0 ? "All is well" : troubles.length === 1 ? "1 thing needs attention" : `${troubles.length} things need attention`;
  if (health.textContent !== words) health.textContent = words;
  health.className = `pill ${troubles.length === 0 ? "well" : "bad"}`;
  const list = byId("problems");
  const items = troubles.map((trouble) => element("li", {}, trouble));
  if (list.textContent !== `Needs attention${troubles.join("")}`) list.querySelector("ul")?.replaceChildren(...items);
  list.hidden = troubles.length === 0;
  byId("stamp").textContent = `As of ${clock(facts.at)}`;
  tiles(facts);
  tables(facts);
}

/** @param {any} facts @returns {string[]} */
function troublesOf(facts) {
  const troubles = [...facts.problems];
  for (const one of facts.listeners) {
    if (one.problem !== null) troubles.push(`${one.protocol} at ${one.address} does not answer: ${one.problem}`);
    else if (one.certificate && one.certificate.not_after < facts.at) troubles.push(`The certificate of ${one.protocol} at ${one.address} has ended`);
    else if (one.certificate && one.certificate.not_after < facts.at + 14 * DAY) troubles.push(`The certificate of ${one.protocol} at ${one.address} ends in ${daysLeft(one, facts)} days`);
  }
  for (const disk of facts.disks) if (share(disk.free, disk.size) < 10) troubles.push(`The disk for ${disk.purpose} is nearly full: ${size(disk.free)} are free`);
  for (const box of facts.fullest) if (box.quota && box.stored >= box.quota) troubles.push(`The mailbox of ${box.address} is full`);
  if (facts.queue.held > 0) troubles.push(`${some(facts.queue.held, "recipient")} in the queue held for an administrator`);
  return [...troubles, ...troublesOfKeeping(facts)];
}

/** @param {any} one @param {any} facts */
const daysLeft = (one, facts) => Math.max(0, Math.floor((one.certificate.not_after - facts.at) / DAY));

/** @param {any} facts */
function tiles(facts) {
  const silent = facts.listeners.filter((/** @type {any} */ one) => one.problem !== null).length;
  const served = facts.listeners.filter((/** @type {any} */ one) => one.certificate);
  const days = served.map((/** @type {any} */ one) => daysLeft(one, facts));
  const { hour, day, queue } = facts;
  const unwanted = day.junk + day.spam;
  const percent = share(unwanted, day.received + day.spam);
  const waiting = [
    queue.oldest === null ? "nothing waits" : `oldest ${age(queue.oldest, facts.at)}`,
    ...(queue.held ? [`${queue.held} held`] : []),
    ...(queue.quarantined ? [`${queue.quarantined} in quarantine`] : []),
  ].join(", ");
  /** @type {[string, string, string, string][]} */
  const made = [
    ["Listeners", silent === 0 ? `${facts.listeners.length} answer` : `${silent} silent`, silent === 0 ? "each by a whole handshake" : `of ${facts.listeners.length}`, silent === 0 ? "well" : "bad"],
    tileOfCertificates(days, unusable(facts)),
    ["Queue", number(queue.entries), waiting, queue.held ? "bad" : ""],
    ["Received", number(hour.received), `last hour; ${number(day.received)} in 24 h`, ""],
    ["Sent on", number(hour.relayed), `last hour; ${number(day.relayed)} in 24 h, ${number(day.failed)} given up`, ""],
    ["Spam", `${percent.toFixed(1)} %`, `${number(day.junk)} junk, ${number(day.spam)} refused in 24 h`, ""],
    ["Refused", number(hour.refused), `last hour; ${number(day.refused)} in 24 h`, ""],
    ...tileOfDisks(facts.disks),
    ["Mail stored", size(facts.stored), some(facts.messages, "message"), ""],
    ["Users", number(facts.users), `${some(facts.domains, "domain")}, ${some(facts.aliases, "alias")}${facts.disabled ? `, ${number(facts.disabled)} disabled` : ""}`, ""],
    ...tilesOfKeeping(facts),
    ...tilesOfReports(),
    ["Bans", number(facts.bans.length), facts.bans.length === 0 ? "nobody is kept out" : "networks are kept out", ""],
  ];
  const parts = made.map(([name, value, note, level]) => element("div", { class: `card tile ${level}` }, element("dt", {}, name), element("dd", { class: "value" }, value), element("dd", { class: "quiet" }, note)));
  byId("tiles").replaceChildren(...parts);
}

/** @param {number[]} days until each ends @param {{ standsIn: boolean, words: string }[]} amiss @returns {[string, string, string, string]} */
function tileOfCertificates(days, amiss) {
  if (days.length === 0) return ["Certificate", "none", "no listener has TLS", amiss.length === 0 ? "" : "bad"];
  if (amiss.some((one) => one.standsIn)) return ["Certificate", "untrusted", "one stands in until another is obtained", "bad"];
  const left = Math.min(...days);
  return ["Certificate", `${left} days`, amiss.length === 0 ? "until the first one ends" : "a new one cannot be used or obtained", left < 14 || amiss.length > 0 ? "bad" : "well"];
}

/** The disk that is fullest. @param {any[]} disks @returns {[string, string, string, string][]} */
function tileOfDisks(disks) {
  const left = (/** @type {any} */ disk) => share(disk.free, disk.size);
  const [fullest] = [...disks].sort((one, other) => left(one) - left(other));
  return fullest ? [["Disk", `${size(fullest.free)} free`, `of ${size(fullest.size)} for ${fullest.purpose}`, left(fullest) < 10 ? "bad" : ""]] : [];
}

/** @param {any} facts */
function tables(facts) {
  const whole = (/** @type {number} */ seconds) => Math.floor(facts.at / (seconds * 1e6));
  rowsOf("listeners", [facts.listeners], () => facts.listeners.map((/** @type {any} */ one) => [
    one.protocol,
    element("code", {}, one.address),
    one.problem === null ? element("span", { class: "well brief" }, `yes, in ${one.milliseconds} ms`) : element("span", { class: "bad" }, `no: ${one.problem}`),
    one.certificate ? certificate(one.certificate) : element("span", { class: "quiet" }, "no TLS"),
    one.certificate ? element("span", { class: daysLeft(one, facts) < 14 ? "bad brief" : "brief" }, `in ${daysLeft(one, facts)} days`) : "",
  ]), "This process has no listeners.");
  rowsOf("destinations", [facts.queue.destinations, whole(60)], () => facts.queue.destinations.map((/** @type {any} */ one) => [
    one.destination, number(one.waiting), number(one.held), one.oldest === null ? "" : age(one.oldest, facts.at), one.last_reply ?? "",
  ]), "The queue is empty.");
  rowsOf("refusals", facts.refusals, () => facts.refusals.map((/** @type {any} */ one) => [one.kind.replace("-refused", ""), one.reason || "–", number(one.number)]), "Nothing was refused.");
  for (const id of ["senders", "recipients"]) {
    rowsOf(id, facts[id], () => facts[id].map((/** @type {any} */ one) => [who(one.address), number(one.number)]), "Nobody yet.");
  }
  rowsOf("fullest", facts.fullest, () => facts.fullest.map((/** @type {any} */ one) => [one.address, size(one.stored), quota(one)]), "All mailboxes are empty.");
  rowsOf("disks", facts.disks.map((/** @type {any} */ disk) => [disk.purpose, size(disk.free)]), () => facts.disks.map((/** @type {any} */ one) => [one.purpose, `${size(one.free)} of ${size(one.size)}`, meter(one.size - one.free, one.size, `used for ${one.purpose}`)]), "No disk is watched.");
  tablesOfKeeping(facts);
  rowsOf("bans", facts.bans, () => facts.bans.map((/** @type {any} */ one) => [element("code", {}, one.network), one.until === null ? "without an end" : moment(one.until), one.reason]), "Nobody is banned.");
}

/** @param {any} box */
export const quota = (box) => (box.quota === null ? "no limit" : element("span", {}, meter(box.stored, box.quota, `quota of ${box.address}`), ` of ${size(box.quota)}`));

/** @param {string} address */
const who = (address) => (address.includes("@") ? element("a", { href: `#trace?about=${encodeURIComponent(address)}` }, address) : address);

/** @param {any} served */
function certificate(served) {
  const about = element("span", {}, served.names.join(", ") || "no name");
  if (served.distrust !== null) about.append(element("small", { class: "warn" }, ` not trusted by this machine: ${served.distrust}`));
  return about;
}

/** @param {any} facts the answer of /api/v1/timeline */
export function showTimeline(facts) {
  const at = facts.flow.map((/** @type {any} */ one) => one.at);
  const step = facts.step_seconds;
  const of = (/** @type {string} */ name) => facts.flow.map((/** @type {any} */ one) => one[name]);
  chart(byId("chart-mail"), { at, step, series: [
    { name: "received", tone: "tone1", values: of("received") },
    { name: "delivered", tone: "tone2", values: of("delivered") },
    { name: "sent on", tone: "tone3", values: of("relayed") },
  ] });
  chart(byId("chart-spam"), { at, step, unit: " %", least: 10, series: [
    { name: "junk", tone: "tone5", values: facts.flow.map((/** @type {any} */ one) => share(one.junk, one.received + one.spam)) },
    { name: "refused as spam", tone: "tone4", values: facts.flow.map((/** @type {any} */ one) => share(one.spam, one.received + one.spam)) },
  ] });
  chart(byId("chart-refused"), { at, step, series: [
    { name: "refused", tone: "tone4", values: of("refused") },
    { name: "attempts put off", tone: "tone5", values: of("deferred") },
    { name: "given up", tone: "tone3", values: of("failed") },
  ] });
  const samples = new Map(facts.queue.map((/** @type {any} */ one) => [one.at, one]));
  const sampled = (/** @type {string} */ name) => at.map((/** @type {number} */ micros) => samples.get(micros)?.[name] ?? null);
  chart(byId("chart-queue"), { at, step, least: 2, series: [
    { name: "messages", tone: "tone1", values: sampled("entries") },
    { name: "recipients waiting", tone: "tone2", values: sampled("waiting") },
    { name: "held", tone: "tone4", values: sampled("held") },
  ] });
}
