// The keyboard: / to the question, arrows among results, Esc back.

/** Listen. `question` is the box, `slash()` whether / is enabled, `columns()` returns the lists of visible cards. */
export function listen(question, slash, columns) {
  document.addEventListener("keydown", (event) => {
    // A device without a mouse has a keyboard all the same if one of these is pressed. The legend is for it.
    if (event.key === "Tab" || event.key.startsWith("Arrow")) document.body.classList.add("keys");
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea");
    if (event.key === "/" && !typing && slash()) return go(question, event);
    if (event.key === "Escape" && event.target !== question) return go(question, event);
    const lists = columns();
    if (event.target === question) {
      if (event.key === "ArrowDown" && lists[0]?.length) go(lists[0][0], event);
      return;
    }
    if (!event.target.matches(".hit")) return;
    const column = lists.findIndex((list) => list.includes(event.target));
    const at = lists[column].indexOf(event.target);
    const last = lists[column].length - 1;
    const onward = document.documentElement.dir === "rtl" ? -1 : 1;
    const beside = lists[column + { ArrowLeft: -onward, ArrowRight: onward }[event.key]];
    if (event.key === "ArrowDown") go(lists[column][Math.min(at + 1, last)], event);
    else if (event.key === "ArrowUp") go(at ? lists[column][at - 1] : question, event);
    else if (event.key === "Home") go(lists[column][0], event);
    else if (event.key === "End") go(lists[column][last], event);
    else if (beside?.length) go(beside[Math.min(at, beside.length - 1)], event);
  });
}

function go(target, event) {
  event.preventDefault();
  target.focus();
  target.select?.();
}
