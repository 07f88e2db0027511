import { type MessageName, messageTypes } from '../../protocol/message-types.ts';
import type { DataScope } from '../auth/data-token.ts';

/** What a client may ask for on the socket: whatever opens a channel, and whatever is answered on channel 0. */
type SocketRequest = {
  [Name in MessageName]: (typeof messageTypes)[Name] extends { from: 'requester'; channel: 'new' }
    ? Name
    : (typeof messageTypes)[Name] extends { from: 'requester'; channel: 'control'; wire: 'both' | 'socket' }
      ? Name
      : never;
}[MessageName];

export interface RequestRule {
  /** null: about the connection or the sandbox as such; whoever is let in may do it. */
  readonly scope: DataScope | null;
  /** Whether it is use of the sandbox, and so extends its lease, or looking, which does not (3.3). */
  readonly use: boolean;
}

const exec = { scope: 'exec', use: true } as const;
const files = { scope: 'files', use: true } as const;
const ports = { scope: 'ports', use: true } as const;
const own = { scope: null, use: false } as const;

/** A3: total, so that a new request does not compile until it is decided here who may make it. */
const rules: Readonly<Record<SocketRequest, RequestRule>> = {
  ExecStart: exec,
  ExecAttach: exec,
  ExecList: { scope: 'exec', use: false },
  FileRead: files,
  FileWrite: files,
  TarRead: files,
  TarWrite: files,
  FileList: { scope: 'files', use: false },
  FileStat: { scope: 'files', use: false },
  FileMkdir: files,
  FileRename: files,
  FileRemove: files,
  FileChange: files,
  FileWatch: { scope: 'files', use: false },
  PortList: { scope: 'ports', use: false },
  PortWatch: { scope: 'ports', use: false },
  PortConnect: ports,
  Stats: own,
  KeepAlive: own,
  TokenRenew: own,
};

const byCode: ReadonlyMap<number, RequestRule> = new Map(
  Object.entries(rules).map(([name, rule]) => [messageTypes[name as SocketRequest].code, rule]),
);

/** Undefined for what is no request. */
export function requestRule(code: number): RequestRule | undefined {
  return byCode.get(code);
}
