// Positions in a text. The service counts code points, JavaScript UTF-16 units: 𠮷 is one of the first, two of the second.

/** Return the position in UTF-16 units of a position in code points. */
export function unit(text, point) {
  let at = 0;
  for (const character of text) {
    if (point-- <= 0) break;
    at += character.length;
  }
  return at;
}

/**
 * Return a text as [before, marked, after]. `highlight` is begin and end in code points, or null. Nothing is marked if
 * that is all of the text, because it would say nothing.
 */
export function parts(text, highlight) {
  if (!highlight) return [text, "", ""];
  const [begin, end] = highlight.map((point) => unit(text, point));
  const found = [text.slice(0, begin), text.slice(begin, end), text.slice(end)];
  return found[0].trim() || found[2].trim() ? found : [text, "", ""];
}
