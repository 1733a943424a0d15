// The page: puts the parts together. What it holds of the state is in `state`; everything shown follows from it.

import { readAddress, writeAddress } from './address.js';
import { byId, el, show } from './dom.js';
import * as examples from './examples.js';
import { drawFacts } from './facts.js';
import { FilterPanel } from './filter-panel.js';
import { plural } from './format.js';
import { drawExplain, Hits } from './hits.js';
import { authorization } from './key.js';
import { drawAgreement, drawLanes, drawNoAgreement, drawServerSilent, drawServerTime, drawTabTime } from './lanes.js';
import { acceptDrops, closeProblem, Steps, tellProblem } from './opening.js';
import { Search } from './search.js';
import { listLibraries, snapshotUrl } from './server.js';
import { Tab } from './tab.js';

const MODEL_URL = new URL('models/static-minilm-256-int4.bin', document.baseURI).href;
const K_CHOICES = [5, 10, 20, 50, 100];
/** How long a silent server is left alone before it is asked again. */
const SERVER_REST_MS = 3_000;

const state = {
  ...readAddress(),
  /** @type {any[]} */ libraries: [],
  /** @type {any} */ opened: null,
  /** @type {string | null} */ serverLibrary: null,
  /** @type {any} */ model: null,
  serverSilentSince: 0,
  /** Whether the engine, the model and the first library are still on their way. */ starting: true,
  /** @type {any} */ tabAnswer: null,
  /** @type {any} */ serverAnswer: null,
};

const steps = new Steps();
const tab = new Tab((progress) => steps.progress(progress));
const hits = new Hits((field, value) => filters.toggle(field, value));
const filters = new FilterPanel(checkFilter, (filter) => {
  state.filter = filter;
  ask();
});
const search = new Search(tab, { begin, tab: fromTab, server: fromServer, tabFailed, serverFailed });

// ---- what can be asked, and where

function serverIsSilent() {
  return state.serverSilentSince > 0;
}

/** Whether the library's vectors were made by the model that this page has. */
function modelFits() {
  const { metadata } = state.opened.info;
  return metadata.embedding_model_sha256 === state.model.fingerprint && metadata.embedding_dimension === state.model.dimension;
}

function canAskTab() {
  return Boolean(state.opened && state.model && modelFits());
}

/** @returns {import('./search.js').Question | null} */
function question() {
  writeAddress({ ...state, library: state.serverLibrary ?? undefined });
  document.title = state.query.trim() ? `${state.query.trim()} – Vecino` : 'Vecino';
  const text = state.query.trim();
  if (!state.opened || !text) {
    showNothing();
    return null;
  }
  const rests = serverIsSilent() && performance.now() - state.serverSilentSince < SERVER_REST_MS;
  const wantsServer = state.where !== 'tab' || !canAskTab();
  const inTab = canAskTab() && (state.where !== 'server' || state.serverLibrary === null || serverIsSilent());
  return { text, k: state.k, filter: state.filter, inTab, onServer: wantsServer && !rests ? state.serverLibrary : null };
}

function ask() {
  search.ask(question);
}

async function checkFilter(filter) {
  return state.opened ? tab.call('check', { filter }) : null;
}

// ---- answers

function begin({ inTab, onServer }) {
  state.tabAnswer = null;
  state.serverAnswer = null;
  const wanted = state.serverLibrary !== null && state.where !== 'tab';
  drawLanes({ tab: inTab, server: onServer !== null || wanted });
  if (!inTab && !onServer && !wanted) tellEmpty('This library cannot be searched by words here', whyNoWords());
}

function whyNoWords() {
  const made = state.opened.info.metadata.embedding_model;
  if (!state.model) return state.starting ? 'The language model is still on its way.' : 'The language model could not be loaded.';
  return made ? `Its vectors were made by ${made}; this page has ${state.model.name}.` : 'Its vectors were brought by its user, without a language model.';
}

function fromTab(result) {
  drawTabTime({ searchMs: 0, ...result });
  if (result.noWords) {
    showHits({ hits: [] });
    drawNoAgreement('Nothing to compare', '');
    tellEmpty('None of these words is known', 'The model knows English words. Try saying it in another way.');
    return;
  }
  state.tabAnswer = result.answer;
  showHits(result.answer);
  drawAgreement(state.tabAnswer, state.serverAnswer);
  if (state.serverAnswer) hits.compareWith(state.serverAnswer);
  else if (serverIsSilent()) drawNoAgreement('Only this tab', 'the server does not answer');
}

function fromServer(result) {
  state.serverSilentSince = 0;
  tellNotice('');
  drawServerTime(result);
  state.serverAnswer = result.answer;
  if (state.where === 'server' || !canAskTab()) showHits(result.answer);
  if (state.tabAnswer) hits.compareWith(result.answer);
  drawAgreement(state.tabAnswer, state.serverAnswer);
}

function tabFailed(error) {
  tellProblem(error);
}

function serverFailed(error) {
  if (!error.offline) {
    state.serverSilentSince = 0;
    tellNotice('');
    drawServerSilent(error.message);
    drawNoAgreement('Nothing to compare', '');
    if (state.where === 'server' || !canAskTab()) {
      showHits({ hits: [] });
      tellEmpty('The server refused this search', error.message);
    }
    return;
  }
  const wasSilent = serverIsSilent();
  state.serverSilentSince = performance.now();
  drawServerSilent('no answer');
  drawNoAgreement('Only this tab', 'the server does not answer');
  tellNotice(canAskTab() ? 'The server does not answer. The search goes on in this tab, with the copy that it has.' : 'The server does not answer.');
  if (!wasSilent && state.where === 'server') ask();
}

function showHits(answer) {
  show(byId('empty'), false);
  hits.draw(answer, state.query);
  drawExplain(answer.explain ? answer : null);
  show(byId('fewer'), Boolean(answer.explain?.fewer_because));
  if (answer.returned === 0) {
    if (state.opened?.info.chunks === 0) tellNoChunks();
    else tellEmpty('Nothing passes the filter', 'Loosen a condition, or clear the filter.');
  }
  announce(answer.returned ? `${plural(answer.returned, 'hit')}. The best: ${answer.hits[0].metadata?.title ?? answer.hits[0].id}` : 'No hits');
}

function showNothing() {
  hits.clear();
  drawExplain(null);
  show(byId('fewer'), false);
  drawLanes({ tab: false, server: false });
  if (!state.opened) return;
  const { chunks, name } = state.opened.info;
  if (chunks === 0) tellNoChunks();
  else tellEmpty(`${plural(chunks, 'passage')} in “${name}”`, 'Ask for something, in your own words. The answer comes while you type.');
}

function tellNoChunks() {
  tellEmpty('This library is empty', 'Add documents through the server, then take a newer copy.');
}

function tellEmpty(title, text) {
  byId('empty').replaceChildren(el('h2', {}, title), el('p', {}, text));
  show(byId('empty'), true);
}

function tellNotice(text) {
  byId('notice').textContent = text;
  show(byId('notice'), text !== '');
}

let announcing = 0;
/** Tells a screen reader, once the typing has paused. */
function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => (byId('announce').textContent = text), 700);
}

// ---- opening

let opening = 0;

/**
 * Opens a library; the one before stays if this fails.
 * @param {{url?: string, file?: File, name: string, serverLibrary?: string}} source
 */
async function open({ url, file, name, serverLibrary = null }) {
  const turn = ++opening;
  closeProblem();
  byId('open-menu').open = false;
  if (!state.starting) steps.begin(['library']);
  try {
    const headers = serverLibrary === null ? {} : authorization();
    const opened = await tab.call('open', { url, file, headers });
    steps.done('library', opened.downloadMs + opened.openMs);
    if (turn === opening) await use(opened, name, serverLibrary);
  } catch (error) {
    steps.failed('library');
    if (turn === opening) tellProblem(error, name);
  } finally {
    if (turn === opening && !state.starting) steps.end();
  }
}

async function use(opened, name, serverLibrary) {
  const changed = state.opened !== null && state.serverLibrary !== serverLibrary;
  Object.assign(state, { opened, serverLibrary });
  drawLibrary(name);
  const facets = await tab.call('facets');
  if (state.opened !== opened) return;
  hits.order = facets.map((facet) => facet.field);
  const sample = examples.isSample(opened.info);
  filters.describe(opened.info.schema.fields, facets, sample ? examples.FILTERS : []);
  drawExamples(sample);
  const wanted = changed ? null : state.filter;
  state.filter = null; // until the engine has taken it
  await filters.set(wanted);
  ask();
}

function drawLibrary(name) {
  const { opened, serverLibrary } = state;
  drawFacts(opened, state.model);
  for (const input of byId('where').querySelectorAll('input')) {
    input.disabled = serverLibrary === null && input.value !== 'tab';
    input.checked = input.value === (serverLibrary === null ? 'tab' : state.where);
  }
  byId('where').title = serverLibrary === null ? 'This file is open in this tab only; the server does not have it.' : '';
  show(byId('libraries'), state.libraries.length > 0);
  if (serverLibrary !== null) byId('libraries').value = serverLibrary;
  byId('file-name').textContent = name;
  show(byId('file-name'), serverLibrary === null);
}

function drawExamples(sample) {
  const example = (text) => el('button', { type: 'button', class: 'link', onclick: () => setQuery(text) }, text);
  byId('examples').replaceChildren(...(sample ? examples.QUERIES : []).map(example));
  show(byId('examples'), sample);
}

function openFromServer(id) {
  const found = state.libraries.find((library) => library.id === id || library.name === id);
  return open({ url: snapshotUrl(found.id), name: found.name, serverLibrary: found.name });
}

function openFile(file) {
  return open({ file, name: file.name });
}

async function loadModel(refresh = false) {
  try {
    state.model = await tab.call('loadModel', { url: MODEL_URL, refresh });
    steps.done('model', state.model.downloadMs + state.model.loadMs);
  } catch (error) {
    steps.failed('model');
    tellProblem(error);
  }
}

// ---- the page

function setQuery(text) {
  state.query = text;
  byId('query').value = text;
  byId('query').focus();
  ask();
}

function drawControls() {
  const choices = [...new Set([...K_CHOICES, state.k])].sort((a, b) => a - b);
  byId('k').replaceChildren(...choices.map((k) => el('option', { value: String(k), selected: k === state.k }, String(k))));
  byId('query').value = state.query;
  for (const input of byId('where').querySelectorAll('input')) input.checked = input.value === state.where;
}

function listen() {
  byId('query').addEventListener('input', (event) => {
    state.query = event.target.value;
    ask();
  });
  byId('query').addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown') return;
    event.preventDefault();
    hits.focusFirst();
  });
  byId('k').addEventListener('change', (event) => {
    state.k = Number(event.target.value);
    ask();
  });
  byId('where').addEventListener('change', (event) => {
    state.where = event.target.value;
    ask();
  });
  byId('libraries').addEventListener('change', (event) => openFromServer(event.target.value));
  byId('refresh').addEventListener('click', () => openFromServer(state.serverLibrary));
  byId('choose-file').addEventListener('click', () => byId('file').click());
  byId('file').addEventListener('change', (event) => {
    const [file] = event.target.files;
    if (file) openFile(file);
    event.target.value = ''; // so that the same file can be chosen again
  });
  byId('url-form').addEventListener('submit', (event) => {
    event.preventDefault();
    openAddress(byId('url').value.trim());
  });
  byId('problem-close').addEventListener('click', closeProblem);
  byId('filter-toggle').addEventListener('click', toggleFilterPanel);
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address holds the search
    byId('query').focus();
  });
  addEventListener('keydown', (event) => {
    const typing = event.target instanceof Element && event.target.closest('input, textarea, select');
    if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId('query').select();
    byId('query').focus();
  });
  addEventListener('click', (event) => {
    if (!byId('open-menu').contains(event.target)) byId('open-menu').open = false;
  });
  addEventListener('hashchange', () => location.reload());
  acceptDrops(openFile);
}

/** On a narrow page the filter is folded away until it is asked for. */
function toggleFilterPanel() {
  const open = byId('filter').toggleAttribute('data-open');
  byId('filter-toggle').setAttribute('aria-expanded', String(open));
  if (open) byId('filter').querySelector('button:not([hidden])')?.focus();
}

function openAddress(text) {
  if (!URL.canParse(text, document.baseURI)) {
    tellProblem({ message: `“${text}” is not an address`, code: 'download' });
    return;
  }
  const url = new URL(text, document.baseURI);
  open({ url: url.href, name: decodeURIComponent(url.pathname.split('/').pop() || url.host) });
}

/** The library that the address names, else the sample, else the first one. */
function firstLibrary() {
  const { libraries, library } = state;
  const named = libraries.find((one) => one.name === library || one.id === library);
  return named ?? libraries.find((one) => one.name === 'sample') ?? libraries[0];
}

async function openFirst() {
  try {
    state.libraries = await listLibraries();
  } catch (error) {
    steps.failed('library');
    tellEmpty('No server here', 'Open a library file: choose it with “Open a file”, or drop it anywhere on this page.');
    return;
  }
  byId('libraries').replaceChildren(...state.libraries.map(({ name }) => el('option', { value: name }, name)));
  const first = firstLibrary();
  if (first) await openFromServer(first.name);
  else tellEmpty('The server has no library yet', 'Import one with “vecino import”, or open a library file: drop it anywhere on this page.');
}

async function start() {
  drawControls();
  listen();
  steps.begin(['engine', 'model', 'library']);
  const engine = tab.call('start').then(
    ({ version, startMs }) => {
      steps.done('engine', startMs);
      byId('version').textContent = `Vecino ${version}`;
    },
    (error) => tellProblem(error),
  );
  await Promise.all([engine, loadModel(), openFirst()]);
  state.starting = false;
  if (state.opened && state.model) {
    if (!modelFits() && state.model.cached) await loadModel(true);
    drawFacts(state.opened, state.model);
    ask();
  }
  steps.end();
  // Where a keyboard is at hand, typing can begin at once.
  if (document.activeElement === document.body && matchMedia('(pointer: fine)').matches) byId('query').focus();
}

start();
