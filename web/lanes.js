// The two times, and whether both answers agree.

import { compare } from './compare.js';
import { byId, icon, show } from './dom.js';
import { ms } from './format.js';

/** @param {{tab: boolean, server: boolean}} used  which sides are asked */
export function drawLanes({ tab, server }) {
  show(byId('lanes'), tab || server);
  show(byId('lane-tab'), tab);
  show(byId('lane-server'), server);
  show(byId('agreement'), tab && server);
}

export function drawTabTime({ embedMs, searchMs }) {
  byId('tab-time').textContent = ms(embedMs + searchMs);
  byId('tab-parts').textContent = `embed ${ms(embedMs)}, search ${ms(searchMs)}`;
}

export function drawServerTime({ answer, roundTripMs }) {
  byId('lane-server').dataset.state = 'answered';
  byId('server-time').textContent = ms(roundTripMs);
  byId('server-parts').textContent = answer.took_ms === undefined ? 'round trip' : `of it ${ms(answer.took_ms)} in the server`;
}

export function drawServerSilent(message) {
  byId('lane-server').dataset.state = 'silent';
  byId('server-time').textContent = '–';
  byId('server-parts').textContent = message;
}

const WHY = { id: 'another passage', score: 'another score', length: 'one answer is shorter' };

/** @param {any} tab  the tab's answer @param {any} server  the server's, or null while it is missing */
export function drawAgreement(tab, server) {
  if (!tab || !server) return tell('waiting', 'Comparing', '');
  const found = compare(tab, server);
  if (found.kind === 'same') {
    const what = found.count === 1 ? 'one hit' : `${found.count} hits`;
    return tell('same', 'Same answer', `${what}: same ids, same order, same score bits`);
  }
  if (found.kind === 'moved') {
    return tell('moved', 'Another version', `the server is at write ${found.server}, this tab at ${found.tab}`);
  }
  return tell('differs', `Differs at rank ${found.rank}`, WHY[found.why]);
}

/** Nothing to compare: why. */
export function drawNoAgreement(title, text) {
  tell('none', title, text);
}

function tell(state, title, text) {
  byId('agreement').dataset.state = state;
  const sign = { same: 'check', moved: 'info', differs: 'warn' }[state];
  byId('agreement-title').replaceChildren(...(sign ? [icon(sign), ' '] : []), title);
  byId('agreement-text').textContent = text;
  show(byId('refresh'), state === 'moved');
}
