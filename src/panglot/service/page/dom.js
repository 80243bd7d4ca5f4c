// Elements from strings that nobody trusts: text is only ever text.

/** Make an element; `properties` are its attributes, functions among them its listeners; children are nodes or text. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The page's own words inside text that runs in another language or direction. */
export const own = (name, properties, ...children) => {
  const { lang, dir } = document.documentElement;
  return element(name, { lang, dir, ...properties }, ...children);
};
