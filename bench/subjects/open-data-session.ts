import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { DataConnection } from '../../src/client/connection.ts';
import { dialNode } from '../../src/client/node/dial-node.ts';

/** One client's socket into one sandbox. */
export type DataSession = ChannelOpener & AsyncDisposable;

/** Settles when the session can be used. */
export async function openDataSession(sandbox: {
  readonly wsUrl: string;
  readonly dataToken: string;
}): Promise<DataSession> {
  const connection = new DataConnection({ dial: dialNode }, { url: sandbox.wsUrl, token: sandbox.dataToken });
  await connection.ready();
  return connection;
}
