import { ChannelClosedError } from '../operations/channel-closed-error.ts';
import type { DataConnection } from './connection.ts';
import { asClientError, WarmpoolClientError } from './warmpool-client-error.ts';

/** Runs one operation once there is a connection; what it throws is the client's own error, or the signal's reason. */
export async function call<T>(
  connection: DataConnection,
  signal: AbortSignal | undefined,
  operation: () => Promise<T>,
): Promise<T> {
  await connection.ready(signal);
  return await translated(operation());
}

export async function translated<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw translate(error);
  }
}

/** The sequence with the client's own errors. Leaving it leaves the one below. */
export function translatedSequence<T>(sequence: AsyncIterable<T>): AsyncIterableIterator<T> {
  const iterator = sequence[Symbol.asyncIterator]();
  return {
    next: () => translated(iterator.next()),
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function translate(error: unknown): unknown {
  if (error instanceof ChannelClosedError)
    return new WarmpoolClientError('closed', error.message, { cause: error });
  return asClientError(error);
}
