// Every route of the service, to be tried: made from the OpenAPI description, with paths relative to this page.

import { authorization, setKey } from "./api.js";
import { element } from "./dom.js";

const LONGEST = 200_000; // Characters of a response that are shown.
const METHODS = ["get", "put", "post", "delete"];

const byId = (id) => document.getElementById(id);
let schemas = {};

/** Return a schema without its reference. */
const resolve = (schema = {}) => (schema.$ref ? schemas[schema.$ref.split("/").at(-1)] : schema);

/** Return what a value may be, in words. */
function kind(schema) {
  const found = resolve(schema);
  if (found.enum) return found.enum.map((each) => JSON.stringify(each)).join(", ");
  if ("const" in found) return JSON.stringify(found.const);
  if (found.anyOf) return [...new Set(found.anyOf.map(kind))].join(" or ");
  if (found.type === "array") return `list of ${found.items ? kind(found.items) : "any"}`;
  const low = found.minimum ?? found.minLength, high = found.maximum ?? found.maxLength;
  const unit = found.type === "string" && high !== undefined ? " characters" : "";
  const range = high === undefined ? "" : `, ${low ?? 0} to ${high}${unit}`;
  return (found.type ?? "any") + range;
}

/** Return the fields of a body or the parameters of an address as a list of terms. */
function described(fields) {
  const rows = fields.flatMap(({ name, schema, required, description }) => {
    const value = JSON.stringify(schema.default ?? "");
    const rest = required ? ", required" : ['""', "[]"].includes(value) ? "" : `, by default ${value}`;
    const about = [(description ?? schema.description)?.replace(/\.$/, ""), kind(schema) + rest];
    return [element("dt", {}, element("code", {}, name)), element("dd", {}, about.filter(Boolean).join(". "))];
  });
  return element("details", {}, element("summary", {}, "Fields"), element("dl", { class: "fields" }, ...rows));
}

/** Return an answer as text, with indented JSON and rows of numbers on one line. */
function shown(text, type) {
  if (!type.includes("json")) return text;
  try {
    const row = /\[\n\s+-?\d[^[\]{}"]*\]/g;
    return JSON.stringify(JSON.parse(text), null, 2).replace(row, (found) => found.replace(/\s+/g, " "));
  } catch {
    return text;
  }
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return a request as a command. A key is named by a variable, so that it appears on no screen. */
function command({ method, url, type, body }) {
  const words = ["curl"];
  if (method !== "GET") words.push("-X", method);
  words.push(quoted(url));
  if (Object.keys(authorization()).length) words.push("-H", '"Authorization: Bearer $PANGLOT_KEY"');
  if (body !== undefined) words.push("-H", quoted(`Content-Type: ${type}`), "--data-binary", quoted(body));
  return words.join(" ");
}

/** Return the section of one route. */
function route(path, method, operation) {
  const id = (part) => `${operation.operationId}-${part}`;
  const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const schema = resolve(content?.schema);
  const examples = content && "example" in content ? [content.example] : schema.examples ?? [];
  const text = (example) => (typeof example === "string" ? example : JSON.stringify(example, null, 2));

  const inputs = (operation.parameters ?? []).map((parameter) => {
    const { name, required, schema: of } = parameter;
    const value = of.examples?.[0] ?? (required ? of.enum?.[0] : undefined) ?? "";
    const input = element("input", { id: id(name), value, spellcheck: "false", autocomplete: "off" });
    input.required = required;
    return { parameter, input, label: element("label", { for: id(name) }, name, required ? " (required)" : "") };
  });
  const body = type && element("textarea", { id: id("body"), spellcheck: "false", rows: 8 });
  const choice = examples.length < 2 ? null : element("select", {
    id: id("example"), change: () => { body.value = text(examples[choice.value]); update(); },
  }, ...examples.map((_, n) => element("option", { value: n }, `${n + 1}`)));
  if (body) body.value = text(examples[0] ?? {});

  const curl = element("pre", { class: "code", tabindex: 0, role: "region", "aria-label": "Command" });
  const status = element("p", { role: "status" });
  const answer = element("pre", { tabindex: 0, role: "region", "aria-label": "Answer", hidden: true });
  let sent = new AbortController();

  function request() {
    const query = new URLSearchParams();
    let place = path.slice(1);
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") place = place.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.append(parameter.name, input.value);
    }
    const url = new URL(place, document.baseURI);
    url.search = query;
    return { method: method.toUpperCase(), url: url.href, type, body: body?.value };
  }

  function update() {
    try {
      curl.textContent = command(request());
    } catch (error) {
      curl.textContent = error.message;
    }
  }

  async function send(event) {
    event.preventDefault();
    sent.abort();
    sent = new AbortController();
    const { signal } = sent;
    update();
    status.textContent = "Waiting for the answer";
    answer.ariaBusy = "true";
    const begin = performance.now();
    try {
      const asked = request();
      const headers = { ...authorization(), ...(asked.body !== undefined && { "Content-Type": type }) };
      const response = await fetch(asked.url, { method: asked.method, body: asked.body, headers, signal });
      const found = shown(await response.text(), response.headers.get("Content-Type") ?? "");
      const cut = found.length > LONGEST ? `. The first ${LONGEST} of ${found.length} characters` : "";
      const time = Math.round(performance.now() - begin);
      const wait = response.headers.get("Retry-After");
      status.textContent = `${response.status} ${response.statusText}, ${time} ms${wait ? `, try again in ${wait} s` : ""}${cut}`;
      answer.textContent = found.slice(0, LONGEST);
      answer.hidden = false;
      answer.ariaBusy = "false";
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = `There was no answer: ${error.message}`;
      answer.hidden = true;
    }
  }

  async function copy() {
    update();
    try {
      await navigator.clipboard.writeText(curl.textContent);
      status.textContent = "Copied";
    } catch { // Without TLS, browsers allow this on the machine itself alone.
      getSelection().selectAllChildren(curl);
      status.textContent = "The command is selected. Copy it with the keyboard";
    }
  }

  const names = Object.entries(schema.properties ?? {});
  const fields = [
    ...inputs.map(({ parameter }) => parameter),
    ...names.map(([name, of]) => ({ name, schema: of, required: schema.required?.includes(name) })),
  ];
  const form = element("form", { submit: send, input: update },
    ...inputs.map(({ label, input }) => element("p", { class: "field" }, label, input)),
    choice && element("p", { class: "field" }, element("label", { for: id("example") }, "Example"), choice),
    body && element("p", { class: "field" }, element("label", { for: id("body") }, `Body, ${type}`), body),
    element("p", { class: "actions" }, element("button", { class: "go" }, "Send"),
      element("button", { class: "tag", type: "button", click: copy }, "Copy as curl")),
  );
  const section = element("details", { class: "route", id: operation.operationId },
    element("summary", {}, element("code", {}, `${method.toUpperCase()} ${path}`), " ", operation.summary ?? ""),
    fields.length ? described(fields) : null, form, curl, status, answer);
  section.addEventListener("toggle", () => {
    update();
    if (section.open) history.replaceState(null, "", `#${section.id}`);
  });
  return section;
}

/** Open the route that the address names. */
function openNamed() {
  const named = byId(decodeURIComponent(location.hash.slice(1)));
  if (!named?.matches(".route")) return;
  named.open = true;
  named.scrollIntoView();
}

async function load() {
  const status = byId("status");
  try {
    const response = await fetch("openapi.json", { headers: authorization() });
    const found = await response.json();
    if (!response.ok) throw new Error(`${found.error.message}. ${found.error.hint ?? ""}`);
    schemas = found.components?.schemas ?? {};
    const routes = Object.entries(found.paths).flatMap(([path, operations]) =>
      METHODS.filter((method) => method in operations).map((method) => route(path, method, operations[method])));
    byId("routes").replaceChildren(...routes);
    if ("/search" in found.paths) byId("places").replaceChildren(element("a", { href: "./" }, "Search page"));
    if ("/indexes" in found.paths) await showIndexes();
    status.textContent = `${routes.length} routes`;
    openNamed();
  } catch (error) {
    status.textContent = `The routes cannot be shown: ${error.message}`;
  }
}

async function showIndexes() {
  const response = await fetch("indexes", { headers: authorization() });
  const { indexes } = await response.json();
  byId("places").replaceChildren("Indexes: ", ...indexes.flatMap(({ name }, n) =>
    [n ? ", " : "", element("a", { href: `indexes/${name}/docs` }, name)]));
}

byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key").value.trim());
  load();
});
addEventListener("hashchange", openNamed);
load();
