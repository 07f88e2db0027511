import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { emptyMap, parseEmptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import {
  encodePortConnect,
  encodePortWatch,
  type PortRecord,
  parsePortList,
  parsePortRecord,
} from '../../protocol/port-messages.ts';
import { ask } from './ask.ts';
import { onWire } from './encoded-request.ts';
import type { OperationOptions } from './operation-options.ts';
import { Reading } from './reading.ts';
import { recordsOf } from './record-reading.ts';
import { Tunnel } from './tunnel.ts';

export type PortChange = PortRecord;

export interface PortWatch {
  /** First the ones open now, then each change. Read it once. Ends after `close`; leaving the loop closes. */
  readonly changes: AsyncIterable<PortChange>;
  close(): void;
}

/** A TCP connection to a port inside. */
export interface PortConnection {
  /** Read it once; ends at the peer's end of file. Leaving the loop early drops the rest. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Settles when the bytes are on their way. They are not copied: do not change them afterwards. */
  write(bytes: Uint8Array): Promise<void>;
  /** Our end of file, after what was written. */
  end(): void;
  /** Settles when both directions have ended; rejects with a ResponderError `connection_reset`, or what ended it. */
  readonly closed: Promise<void>;
  /** Resets the connection. */
  close(): void;
}

export interface ConnectPort {
  readonly port: number;
  readonly windowBytes?: number | undefined;
}

/** Ascending. */
export function listPorts(opener: ChannelOpener, options?: OperationOptions): Promise<readonly number[]> {
  return ask(opener, messageTypes.PortList.code, emptyMap, parsePortList, options);
}

export async function watchPorts(opener: ChannelOpener, options: OperationOptions = {}): Promise<PortWatch> {
  const reading = new Reading(parseEmptyMap);
  const type = messageTypes.PortWatch.code;
  const { signal } = options;
  await reading.open(opener, { type, payload: encodePortWatch({}), signal }, parseEmptyMap);
  return { changes: recordsOf(reading, parsePortRecord), close: () => reading.close() };
}

/** Rejects with a ResponderError `connection_refused` when nobody listens. */
export async function connectPort(
  opener: ChannelOpener,
  request: ConnectPort,
  options: OperationOptions = {},
): Promise<PortConnection> {
  const { windowBytes } = request;
  const payload = encodePortConnect(onWire(request));
  const type = messageTypes.PortConnect.code;
  return new Tunnel().open(opener, { type, payload, windowBytes, signal: options.signal });
}
