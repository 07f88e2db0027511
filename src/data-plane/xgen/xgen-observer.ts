import type { XgenRole } from '../../auth/xgen-tokens.ts';
import type { XgenFailure, XgenVersion } from './xgen-failure.ts';

/** What became of one call of this dialect, an upgrade among them. */
export interface XgenCall {
  readonly version: XgenVersion;
  readonly method: string;
  /** The pattern of its route, or `unmatched`. */
  readonly path: string;
  readonly status: number;
  readonly seconds: number;
  /** null: its credential was not good. */
  readonly caller: XgenCallerName | null;
  readonly remoteAddress: string;
  /** Of the path, or made by the call; empty where there is none. */
  readonly sandboxId: string;
  readonly failure: XgenFailure | null;
}

export interface XgenCallerName {
  readonly tenant: string;
  readonly subject: string;
  readonly role: XgenRole;
}

/** Who hears of calls: the metrics and the audit log of the dialect. */
export interface XgenObserver {
  answered(call: XgenCall): void;
  /** An Error that the protocol forbids to send: the client would take it for the end of everything it runs. */
  errorDropped(): void;
}

export const silentXgenObserver: XgenObserver = { answered() {}, errorDropped() {} };
