import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { Deferred } from '../deferred.ts';
import { Channel, failureOf, type OpenChannel } from './channel.ts';
import type { ChannelEnd, ChannelUser } from './channel-user.ts';
import { endOf } from './reading.ts';

/**
 * What is to be written. An iterable is asked for its first piece once the responder is ready, and for each next one when
 * the one before is on its way; it is left when the responder refuses the rest. Pieces are not copied: they must not be
 * changed afterwards.
 */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array>;

/** Sends `source` as the input of the request, and settles with its End. When the source fails, the channel is closed. */
export async function writeAll<End>(
  opener: ChannelOpener,
  request: OpenChannel,
  source: ByteSource,
  parseEnd: (payload: Uint8Array) => ParseResult<End>,
): Promise<End> {
  const end = new Deferred<End>();
  const writing = new Writing(parseEnd, end);
  const channel = Channel.open(opener, request, writing);
  await channel.acked;
  try {
    if (source instanceof Uint8Array) await channel.input.write(source);
    else await pour(source[Symbol.asyncIterator](), channel, writing);
    channel.input.end();
  } catch (error) {
    channel.close();
    throw error;
  }
  return end.promise;
}

class Writing<End> implements ChannelUser {
  readonly #parseEnd: (payload: Uint8Array) => ParseResult<End>;
  readonly #end: Deferred<End>;
  #over: { readonly error?: unknown } | undefined;
  /** Settles the wait for a piece of the source, if there is one. */
  #interrupt: (() => void) | undefined;

  constructor(parseEnd: (payload: Uint8Array) => ParseResult<End>, end: Deferred<End>) {
    this.#parseEnd = parseEnd;
    this.#end = end;
  }

  onOutput(): void {}

  onOver(how: ChannelEnd): void {
    const end = how.kind === 'ended' ? endOf(how, this.#parseEnd) : { error: failureOf(how) };
    if ('value' in end) {
      this.#over = {};
      this.#end.resolve(end.value);
    } else {
      this.#over = { error: end.error };
      this.#end.reject(end.error);
    }
    this.#interrupt?.();
  }

  /** The next piece of the source, or how the channel ended if that comes first. */
  next(source: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    // One wait at a time: racing against one promise for the whole channel would gather a reaction for every piece.
    return new Promise((resolve, reject) => {
      this.#interrupt = () => {
        if (this.#over && 'error' in this.#over) reject(this.#over.error);
        else resolve({ done: true, value: undefined });
      };
      if (this.#over) this.#interrupt();
      else source.next().then(resolve, reject);
    });
  }
}

async function pour<End>(
  source: AsyncIterator<Uint8Array>,
  channel: Channel,
  writing: Writing<End>,
): Promise<void> {
  try {
    for (;;) {
      const piece = await writing.next(source);
      if (piece.done) return;
      await channel.input.write(piece.value);
    }
  } catch (error) {
    // The source may be stuck in its own read; nobody waits for it to notice.
    source.return?.()?.catch(() => {});
    throw error;
  }
}
