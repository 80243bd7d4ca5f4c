// The language of the page itself: its texts, the names of languages, numbers.

/** The languages that the page speaks, by their own names. `texts-CODE.json` has the texts of each. */
export const INTERFACES = Object.freeze({
  ar: "العربية", bn: "বাংলা", de: "Deutsch", en: "English", es: "Español", fi: "Suomi", hi: "हिन्दी",
  id: "Bahasa Indonesia", ja: "日本語", ru: "Русский", sw: "Kiswahili", zh: "中文",
});

let texts = {};
let names = null;

/** Return the first of the browser's languages that the page speaks. */
export const ofBrowser = () =>
  navigator.languages.map((tag) => tag.split("-")[0]).find((code) => code in INTERFACES) ?? "en";

/** Speak a language, and write its texts into the elements that name one. */
export async function speak(code) {
  const got = await fetch(`texts-${code}.json`);
  texts = await got.json();
  names = new Intl.DisplayNames([code], { type: "language", fallback: "none" });
  Object.assign(document.documentElement, { lang: code, dir: code === "ar" ? "rtl" : "ltr" });
  for (const found of document.querySelectorAll("[data-text]")) found.textContent = say(found.dataset.text);
  for (const found of document.querySelectorAll("[data-label]")) found.setAttribute("aria-label", say(found.dataset.label));
  for (const found of document.querySelectorAll("[data-placeholder]")) found.placeholder = say(found.dataset.placeholder);
}

/** Return a text of the page. `values` replace the names in braces. */
export const say = (key, values = {}) => (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Whether the page has a text, such as for a ranking mode that a newer service may have. */
export const knows = (key) => key in texts;

/** Return the name of a language, or `otherwise` if the browser has none. */
export function languageName(code, otherwise) {
  let name;
  try {
    name = names?.of(code);
  } catch { /* Not a language code. */ }
  return name ? name[0].toLocaleUpperCase() + name.slice(1) : otherwise || code;
}

/** Return a number in the style of the page's language, in the digits that ranks and addresses have too. */
export const number = (value, style = {}) =>
  value.toLocaleString(document.documentElement.lang, { numberingSystem: "latn", ...style });

/** Return a share of 1 as a percentage. */
export const percent = (share) =>
  number(share, { style: "percent", maximumFractionDigits: share > 0 && share < 0.0995 ? 1 : 0 });
