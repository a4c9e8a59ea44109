// @ts-check
// The page of reports from other servers, and the first page's facts about backups and certificates.

import { age, byId, element, moment, number, rowsOf, size, some } from "./elements.js";

/** @typedef {(path: string) => Promise<any>} Ask */

const DAY = 86400e6;
/** What each kind of run is called. */
const RUNS = /** @type {Record<string, string>} */ ({ created: "backup", verified: "check", pruned: "thinning out", drill: "drill", pushed: "copy", restored: "restore" });

/** @param {any} run */
const named = (run) => RUNS[run.what] ?? run.what;

/** @param {any[]} backups @param {string} what */
const last = (backups, what) => backups.find((run) => run.what === what);

/** @param {number} milliseconds */
const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

/** @param {any} facts @returns {string[]} what is amiss with backups and certificates */
export function troublesOfKeeping(facts) {
  const troubles = [];
  for (const run of facts.backups) if (run.problem !== null) troubles.push(`The last ${named(run)} failed: ${run.problem}`);
  const taken = last(facts.backups, "created")?.succeeded_at;
  if (taken && facts.at - taken > 2 * DAY) troubles.push(`There has been no backup for ${age(taken, facts.at)}`);
  for (const one of facts.certificates) {
    for (const held of one.certificates.filter((/** @type {any} */ state) => state.standing === "held-back")) {
      troubles.push(`The new certificate for ${held.names.join(", ")} is held back${held.publish.length ? `: publish ${held.publish.join(" and ")}` : " until others have forgotten the old record"}`);
    }
    for (const check of one.inspection?.checks ?? []) if (check.problem !== null) troubles.push(`${check.protocol} at ${check.address} for ${check.name}: ${check.problem}`);
  }
  return [...troubles, ...unusable(facts).map(({ words }) => words)];
}

/** What is wrong with certificates themselves, each once: two roles may have the same. @param {any} facts @returns {{ standsIn: boolean, words: string }[]} */
export function unusable(facts) {
  /** @type {Map<string, { standsIn: boolean, problem: string | null }>} */
  const found = new Map();
  for (const state of facts.certificates.flatMap((/** @type {any} */ one) => one.certificates)) {
    const [names, standsIn] = [state.names.join(", "), state.standing === "standing-in"];
    if (standsIn || state.problem !== null) found.set(names, { standsIn, problem: state.problem ?? found.get(names)?.problem ?? null });
  }
  return [...found].map(([names, { standsIn, problem }]) => ({
    standsIn,
    words: standsIn ? `A self-signed certificate replaces the one for ${names}${problem === null ? " until one is obtained" : `: ${problem}`}` : `The certificate for ${names} is not the intended one: ${problem}`,
  }));
}

/** @param {any} facts @returns {[string, string, string, string][]} */
export function tilesOfKeeping(facts) {
  const backup = last(facts.backups, "created");
  const drill = last(facts.backups, "drill");
  const old = backup?.succeeded_at && facts.at - backup.succeeded_at > 2 * DAY;
  const of = (/** @type {any} */ run) => (run.messages === null ? "" : `${some(run.messages, "message")}${run.octets === null ? "" : `, ${size(run.octets)}`}`);
  return [
    backup
      ? ["Backup", backup.succeeded_at ? `${age(backup.succeeded_at, facts.at)} old` : "none", backup.problem ?? of(backup), backup.problem !== null || old ? "bad" : "well"]
      : ["Backup", "none", "none was ever taken", ""],
    drill
      ? ["Drill", drill.recovery_milliseconds === null ? "no login" : seconds(drill.recovery_milliseconds), differing(drill) ?? drill.problem ?? `until the first login, ${age(drill.at, facts.at)} ago`, drill.problem !== null ? "bad" : "well"]
      : ["Drill", "none", "no backup was proved yet", ""],
  ];
}

/** In how much a drill has found its server to differ. @param {any} drill */
const differing = (drill) => (drill.different > 1 ? `${drill.different} differences: ${drill.problem}` : null);

/** @param {any} facts */
export function tablesOfKeeping(facts) {
  rowsOf("backups", [facts.backups, Math.floor(facts.at / 60e6)], () => facts.backups.map((/** @type {any} */ run) => [
    named(run),
    element("span", {}, moment(run.at), ` (${age(run.at, facts.at)} ago)`),
    run.problem === null ? element("span", { class: "well" }, "well") : element("span", { class: "bad" }, run.problem, ...differences(run)),
    run.backup ?? "",
    run.messages === null ? "" : `${some(run.messages, "message")}${run.octets === null ? "" : `, ${size(run.octets)}`}${run.users === null ? "" : `, ${some(run.users, "user")}`}`,
    `${seconds(run.milliseconds)}${run.recovery_milliseconds === null ? "" : `; first login after ${seconds(run.recovery_milliseconds)}`}`,
  ]), "No backup was ever taken; see postrider backup.");
  const states = facts.certificates.flatMap((/** @type {any} */ one) => one.certificates.map((/** @type {any} */ state) => ({ ...state, roles: one.roles, inspection: one.inspection })));
  rowsOf("certificates", [states, Math.floor(facts.at / 60e6)], () => states.map((/** @type {any} */ state) => [
    state.names.join(", "),
    standing(state),
    element("span", { class: state.not_after - facts.at < 14 * DAY ? "bad brief" : "brief" }, `in ${Math.max(0, Math.floor((state.not_after - facts.at) / DAY))} days`),
    served(state, facts.at),
    state.roles,
    element("code", { title: state.file }, state.public_key),
  ]), "No process has any certificates.");
}

/** @param {any} run */
const differences = (run) => (run.differences.length > 1 ? [element("details", {}, element("summary", {}, `${number(run.differences.length)} differences`), element("ul", {}, ...run.differences.map((/** @type {string} */ one) => element("li", {}, one))))] : []);

/** @param {any} state */
function standing(state) {
  const problem = state.problem === null ? "" : `: ${state.problem}`;
  if (state.standing === "in-force") return problem ? element("span", { class: "bad" }, `served, but still the old one${problem}`) : element("span", { class: "well" }, "served");
  if (state.standing === "standing-in") return element("span", { class: "bad" }, `stands in until one is obtained${problem}`);
  const records = state.publish.map((/** @type {string} */ one) => element("code", { class: "block" }, one));
  return element("span", { class: "bad" }, "held back since ", moment(state.held_since), records.length ? "; publish " : "; settling", ...records);
}

/** How often a certificate was served where it is meant. @param {any} state @param {number} at */
function served(state, at) {
  if (state.standing === "held-back") return element("span", { class: "quiet" }, "not yet");
  if (!state.inspection) return element("span", { class: "quiet" }, "not looked at yet");
  const checks = state.inspection.checks.filter((/** @type {any} */ check) => state.names.some((/** @type {string} */ name) => name.replace("*", "any") === check.name));
  const wrong = checks.filter((/** @type {any} */ check) => check.problem !== null);
  const when = `, ${age(state.inspection.at, at)} ago`;
  return wrong.length === 0 ? element("span", { class: "well" }, `by all ${checks.length} asked${when}`) : element("span", { class: "bad" }, `not by ${wrong.length} of ${checks.length}${when}`);
}

const form = () => /** @type {HTMLFormElement} */ (byId("report-search"));

/** @param {Ask} ask */
export async function showReports(ask) {
  const asked = new FormData(form());
  const question = new URLSearchParams({ kind: String(asked.get("kind")), domain: String(asked.get("domain")).trim(), days: String(asked.get("days")) });
  const answer = await ask(`reports?${question}`);
  rowsOf("report-rows", answer.rows, () => answer.rows.map((/** @type {any} */ row) => [
    row.domain,
    row.source ? element("code", {}, row.source) : "–",
    row.policy,
    element("span", { class: row.passed ? "well" : "bad" }, row.passed ? "pass" : "fail"),
    row.result,
    number(row.count),
  ]), "No reports cover that period.");
  rowsOf("report-list", answer.reports, () => answer.reports.map((/** @type {any} */ one) => [one.organization, one.domain, moment(one.begins), number(one.passed), element("span", { class: one.failed > 0 ? "bad" : "" }, number(one.failed))]), "No reports have arrived.");
  const passed = answer.reports.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.passed, 0);
  const failed = answer.reports.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.failed, 0);
  const words = `${some(answer.reports.length, "report")}: ${number(passed)} passed, ${number(failed)} failed`;
  if (byId("report-answer").textContent !== words) byId("report-answer").textContent = words;
}

/** How often it is asked what other servers have reported: they do so once a day. */
const LOOK = 300_000;
/** @type {{ at: number, dmarc: any[], tls: any[] }} */
let known = { at: -LOOK, dmarc: [], tls: [] };

/** Asks what other servers have reported within a week, for the tiles. @param {(path: string) => Promise<any>} ask */
export async function lookAtReports(ask) {
  if (performance.now() - known.at < LOOK) return;
  const [dmarc, tls] = await Promise.all(["dmarc", "tls"].map((kind) => ask(`reports?kind=${kind}&days=7`)));
  known = { at: performance.now(), dmarc: dmarc.reports, tls: tls.reports };
}

/** @returns {[string, string, string, string][]} */
export function tilesOfReports() {
  return [["Forged mail", known.dmarc, "messages failed DMARC"], ["TLS elsewhere", known.tls, "connections failed"]].map(([name, reports, what]) => {
    const sum = (/** @type {string} */ key) => /** @type {any[]} */ (reports).reduce((all, one) => all + one[key], 0);
    const [failed, whole] = [sum("failed"), sum("failed") + sum("passed")];
    const note = reports.length === 0 ? "no report in 7 days" : `of ${number(whole)} ${what}, 7 days`;
    return [/** @type {string} */ (name), reports.length === 0 ? "–" : number(failed), note, ""];
  });
}
