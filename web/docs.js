// The API's description as a page on which every route can be tried. No framework, nothing from elsewhere.

import { byId, el } from './dom.js';
import { authorization, keep } from './key.js';

let description;

/** Follows a reference within the description. */
function resolve(schema) {
  const path = schema?.$ref?.replace('#/', '').split('/');
  return path ? path.reduce((part, name) => part[name], description) : (schema ?? {});
}

/** The type of a schema in a few words. */
function typeOf(schema) {
  if (schema?.$ref) return schema.$ref.split('/').pop();
  if (schema?.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const parts = schema?.oneOf ?? schema?.anyOf ?? schema?.allOf;
  if (parts) return parts.map(typeOf).join(' | ');
  if (schema?.type === 'array') return `list of ${typeOf(schema.items)}`;
  return [schema?.type ?? 'anything'].flat().join(' | ');
}

/** The fields of an object, also of one that is put together of several. */
function fieldsOf(schema) {
  const { properties = {}, required = [], allOf = [] } = resolve(schema);
  const own = Object.entries(properties).map(([name, field]) => ({ name, field, required: required.includes(name) }));
  return [...own, ...allOf.flatMap(fieldsOf)];
}

/** A value to begin with: what must be there. */
function example(schema, depth = 0) {
  const { example: given, default: usual, type, oneOf, anyOf, items, enum: values } = resolve(schema);
  if (given !== undefined) return given;
  if (usual !== undefined) return usual;
  if (values) return values[0];
  const either = oneOf ?? anyOf;
  if (either) return example(either.find((one) => one.type !== 'null') ?? either[0], depth + 1);
  if (depth > 4) return null;
  switch ([type].flat()[0]) {
    case 'string':
      return '';
    case 'integer':
    case 'number':
      return 1;
    case 'boolean':
      return false;
    case 'array':
      return items ? [example(items, depth + 1)] : [];
    default:
      return Object.fromEntries(
        fieldsOf(schema)
          .filter((one) => one.required)
          .map(({ name, field }) => [name, example(field, depth + 1)]),
      );
  }
}

function table(heads, rows) {
  if (rows.length === 0) return null;
  const row = (cells, kind) => el('tr', {}, ...cells.map((cell) => el(kind, {}, cell)));
  return el('table', {}, el('thead', {}, row(heads, 'th')), el('tbody', {}, ...rows.map((cells) => row(cells, 'td'))));
}

/** What a route takes, and a form to try it. */
function form(method, path, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => ({ ...parameter, input: el('input', { 'aria-label': parameter.name }) }));
  const [kind, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const json = kind?.includes('json') && kind === 'application/json';
  const body = kind && el('textarea', { 'aria-label': 'body', spellcheck: 'false', value: json ? JSON.stringify(content.example ?? example(content.schema), null, 2) : (content.example ?? '') });
  const result = el('pre', { hidden: true });
  const send = async (event) => {
    event.preventDefault();
    let address = path;
    const query = new URLSearchParams();
    const headers = { ...authorization(), ...(kind && { 'content-type': kind }) };
    for (const { name, in: place, input } of inputs) {
      if (place === 'path') address = address.replace(`{${name}}`, encodeURIComponent(input.value));
      else if (input.value !== '' && place === 'query') query.append(name, input.value);
      else if (input.value !== '' && place === 'header') headers[name] = input.value;
    }
    result.hidden = false;
    result.textContent = '…';
    try {
      const url = new URL(address.slice(1) + (query.size > 0 ? `?${query}` : ''), document.baseURI);
      const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
      const type = response.headers.get('content-type') ?? '';
      const text = /json|text/.test(type) ? await response.text() : `${(await response.arrayBuffer()).byteLength} bytes of ${type}`;
      result.textContent = `${response.status} ${response.statusText}\n\n${type.includes('json') ? pretty(text) : text}`;
    } catch (error) {
      result.textContent = String(error);
    }
  };
  const rows = inputs.map(({ name, in: place, required, description: about, schema, input }) => [
    `${name}${required ? ' *' : ''}`,
    `${place}, ${typeOf(schema)}`,
    about ?? '',
    input,
  ]);
  return el(
    'form',
    { onsubmit: send },
    table(['parameter', 'where', 'meaning', 'value'], rows),
    content && fields(content.schema),
    body ?? null,
    el('p', { class: 'ask' }, el('button', { class: 'button' }, 'Send')),
    result,
  );
}

function fields(schema) {
  const rows = fieldsOf(schema).map(({ name, field, required }) => [
    `${name}${required ? ' *' : ''}`,
    typeOf(field),
    field.description ?? resolve(field).description ?? '',
  ]);
  return table(['field', 'type', 'meaning'], rows);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function route(method, path, operation) {
  const answers = Object.entries(operation.responses).map(([status, response]) => {
    const { content = {}, description: about } = resolve(response);
    return [status, Object.values(content).map(({ schema }) => typeOf(schema)).join(' | '), about];
  });
  const details = el(
    'details',
    { class: 'route', id: operation.operationId },
    el('summary', {}, el('span', { class: `method ${method}` }, method.toUpperCase()), ` ${path} — ${operation.summary ?? ''}`),
    operation.description ? el('p', {}, operation.description) : null,
  );
  // What is not looked at is not built.
  details.addEventListener('toggle', () => details.append(form(method, path, operation), table(['status', 'body', 'meaning'], answers)), {
    once: true,
  });
  return details;
}

function show() {
  const groups = new Map((description.tags ?? []).map(({ name, description: about }) => [name, { about, routes: [] }]));
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? 'other';
      if (!groups.has(tag)) groups.set(tag, { routes: [] });
      groups.get(tag).routes.push({ method, path, operation });
    }
  }
  const sections = [];
  const links = [];
  for (const [tag, { about, routes }] of groups) {
    if (routes.length === 0) continue;
    const built = routes.map(({ method, path, operation }) => route(method, path, operation));
    sections.push(el('section', {}, el('h2', {}, tag), about ? el('p', {}, about) : null, ...built));
    routes.forEach(({ method, path }, place) => {
      const open = () => (built[place].open = true);
      const mark = el('span', { class: `method ${method}` }, method.toUpperCase());
      links.push(el('a', { href: `#${built[place].id}`, onclick: open }, mark, ` ${path}`));
    });
  }
  byId('contents').replaceChildren(...links);
  byId('routes').replaceChildren(...sections);
  const { title, version } = description.info;
  byId('state').textContent = `${title} ${version}. ${description.info.description ?? ''}`;
}

async function load() {
  const response = await fetch('openapi.json', { headers: authorization() });
  const body = await response.json();
  if (!response.ok) {
    byId('state').textContent = body.detail;
    return;
  }
  description = body;
  show();
}

byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  keep(byId('key').value.trim());
  load();
});
load().catch((error) => (byId('state').textContent = String(error)));
