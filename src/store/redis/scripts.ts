import { loadScript } from './script.ts';

/** Every script of the store, with the number of its KEYS. */
export const scripts = {
  openSchema: loadScript('open-schema', 1),
  declarePool: loadScript('declare-pool', 1),
  scalePool: loadScript('scale-pool', 1),
  readPool: loadScript('read-pool', 1),
  noteDemand: loadScript('note-demand', 1),
  reserveStart: loadScript('reserve-start', 2),
  reportReady: loadScript('report-ready', 1),
  reportFailed: loadScript('report-failed', 1),
  registerBound: loadScript('register-bound', 1),
  registerReady: loadScript('register-ready', 2),
  claimSandbox: loadScript('claim-sandbox', 4),
  renewLease: loadScript('renew-lease', 2),
  beginStop: loadScript('begin-stop', 1),
  retireSurplus: loadScript('retire-surplus', 1),
  expireSandbox: loadScript('expire-sandbox', 1),
  finishStop: loadScript('finish-stop', 1),
  listDue: loadScript('list-due', 2),
  readSandbox: loadScript('read-sandbox', 1),
  listOwned: loadScript('list-owned', 2),
  listNode: loadScript('list-node', 2),
  beatNode: loadScript('beat-node', 1),
  listNodes: loadScript('list-nodes', 1),
  healSandbox: loadScript('heal-sandbox', 1),
  healIndex: loadScript('heal-index', 2),
} as const;
