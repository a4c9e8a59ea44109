// The texts of the page, in the user's language.

import english from "./texts-en.js";

/** The languages there are, by their own names. For each but English there is a file with its texts, and one with what the server says by its words for it. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français" };

let texts = english, sayings = {}, dates = formats("en"), numbers = counts("en");

function formats(locale) {
  const format = (options) => new Intl.DateTimeFormat(locale, options);
  return {
    hour: format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }), day: format({ day: "numeric", month: "short" }),
    year: format({ day: "numeric", month: "short", year: "numeric" }), whole: format({ dateStyle: "full", timeStyle: "short", hourCycle: "h23" }),
    date: format({ dateStyle: "full", timeZone: "UTC" }), month: format({ month: "short" }),
  };
}

function counts(locale) {
  const digits = (fraction) => new Intl.NumberFormat(locale, { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
  return { any: new Intl.NumberFormat(locale), tenths: digits(1), whole: digits(0) };
}

/** Takes the language that is wanted, or the first of the browser's that there is. Dates and numbers look as in the reader's country. */
export async function speak(wanted = "") {
  const known = (locale) => locale.toLowerCase().split("-")[0];
  const locale = [wanted, ...navigator.languages].filter(Boolean).find((one) => known(one) in LANGUAGES) ?? "en";
  const language = known(locale);
  const load = async (what) => (await import(`./${what}-${language}.js`)).default;
  [texts, sayings] = language === "en" ? [english, {}] : await Promise.all([load("texts"), load("said")]);
  const country = [...navigator.languages].find((one) => known(one) === language) ?? language;
  dates = formats(country);
  numbers = counts(country);
  document.documentElement.lang = language;
}

/** Whether there is a text with this name. */
export const knows = (name) => name in english;

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => (typeof values[key] === "number" ? number(values[key]) : String(values[key] ?? "")));

/** The text with this name, its {placeholders} filled in; the one for a single thing (`NAME_one`) where there is one. */
export function t(name, values = {}) {
  if (values.count === 1 && knows(`${name}_one`)) return t(`${name}_one`, { ...values, count: "1" });
  return filled(texts[name] ?? english[name], values);
}

/** What the server says, by its word for it; as it comes in English if that is unknown here. A value may be something said again. */
export function said({ type, values, text }) {
  const own = knows(`refused_${type}`) ? texts[`refused_${type}`] : sayings[type];
  if (own === undefined) return text;
  const whole = (name, value) => (typeof value === "object" ? said(value) : name === "most" ? sizeOf(value) : value);
  return filled(own, Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, whole(name, value)])));
}

export const number = (value) => numbers.any.format(value);

/** What something adds to a sum. */
const weight = (value) => (value > 0 ? "+" : "") + numbers.tenths.format(value);

/** Something and what is said of it. */
export const labelled = (name, value) => t("labelled", { name, value });

/** A reason of the filter: what it adds to the score, what the rule looks for, and what it has found. */
export function spamReason({ points, ...told }) {
  const { found } = told.values, name = said(told);
  return `${weight(points)} ${found ? labelled(name, found) : name}`;
}

/** Keys as they are called on keyboards. */
export const keyNames = (text) => text.replace(/[A-Z][a-z]+|\bthen\b/g, (word) => (knows(`key_${word}`) ? t(`key_${word}`) : word));

/** A date as short as a list needs it. */
export function shortDate(at) {
  const date = new Date(at), now = new Date();
  if (date.toDateString() === now.toDateString()) return dates.hour.format(date);
  return (date.getFullYear() === now.getFullYear() ? dates.day : dates.year).format(date);
}

export const time = (at) => dates.hour.format(new Date(at));
export const longDate = (at) => dates.whole.format(new Date(at));

/** From when to when an event is; each end is `at`, a `date` or `local`, and the last may be missing. */
export function span(start, end) {
  const days = "date" in start;
  const form = days ? dates.date : dates.whole;
  const [from, to] = [start, end ?? start].map((one) => one.at ?? Date.parse(days ? `${one.date}T00:00:00Z` : one.local));
  return from === to ? form.format(from) : form.formatRange(from, to);
}

/** The month and the day of the month of a moment of an event. */
export function leaf(when) {
  const date = new Date(when.at ?? (when.local ?? `${when.date}T12:00:00`));
  return [dates.month.format(date), String(date.getDate())];
}

/** A size for people. */
export function size(octets) {
  for (const [unit, factor] of [["GB", 2 ** 30], ["MB", 2 ** 20], ["KB", 2 ** 10]]) {
    if (octets >= factor) return `${numbers[octets < 10 * factor ? "tenths" : "whole"].format(octets / factor)} ${t(`unit_${unit}`)}`;
  }
  return `${number(octets)} ${t("unit_B")}`;
}

/** A size as the server writes it: `25M`. */
export function sizeOf(written) {
  const [, digits, unit] = /^(\d+)([KMGT])$/.exec(written) ?? [];
  return unit ? size(Number(digits) * 2 ** (10 * ("KMGT".indexOf(unit) + 1))) : written;
}

/** The name of a folder for people. */
export function folderName(folder) {
  const last = folder.name.split("/").pop();
  return folder.role ? t(folder.role) : last;
}
