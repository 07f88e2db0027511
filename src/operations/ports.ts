import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { OperationOptions } from './operation-options.ts';

export interface PortChange {
  readonly port: number;
  readonly open: boolean;
}

export interface PortWatch {
  /** First the ones open now, then each change. Read it once. Ends after `close`; leaving the loop closes. */
  readonly changes: AsyncIterable<PortChange>;
  close(): void;
}

/** A TCP connection to a port inside. */
export interface PortConnection {
  /** Read it once; ends at the peer's end of file. Leaving the loop early drops the rest. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Settles when the bytes are on their way. */
  write(bytes: Uint8Array): Promise<void>;
  /** Our end of file, after what was written. */
  end(): void;
  /** Settles when both directions have ended; rejects with a ResponderError `connection_reset`, or what ended it. */
  readonly closed: Promise<void>;
  /** Resets the connection. */
  close(): void;
}

/** Ascending. */
export function listPorts(opener: ChannelOpener, options?: OperationOptions): Promise<readonly number[]> {
  throw new Error(`not implemented: ${opener} ${options}`);
}

export function watchPorts(opener: ChannelOpener, options?: OperationOptions): Promise<PortWatch> {
  throw new Error(`not implemented: ${opener} ${options}`);
}

export interface ConnectPort {
  readonly port: number;
  readonly windowBytes?: number | undefined;
}

/** Rejects with a ResponderError `connection_refused` when nobody listens. */
export function connectPort(
  opener: ChannelOpener,
  request: ConnectPort,
  options?: OperationOptions,
): Promise<PortConnection> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}
