import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { Deferred } from '../deferred.ts';
import { Channel, failureOf, type OpenChannel } from './channel.ts';
import type { ChannelEnd, ChannelUser } from './channel-user.ts';
import { OutputBuffer } from './output-buffer.ts';
import { readOnce } from './read-once.ts';
import { WrongAnswerError } from './wrong-answer-error.ts';

/** An operation whose output somebody reads: a file, an archive, a listing, a watch. */
export class Reading<End> implements ChannelUser {
  readonly #parseEnd: (payload: Uint8Array) => ParseResult<End>;
  readonly #buffer = new OutputBuffer((bytes) => this.#channel?.release(bytes));
  readonly #end = new Deferred<End>();
  #channel: Channel | undefined;

  constructor(parseEnd: (payload: Uint8Array) => ParseResult<End>) {
    this.#parseEnd = parseEnd;
  }

  /** Settles with the Ack's payload as `parse` reads it. */
  async open<T>(
    opener: ChannelOpener,
    request: OpenChannel,
    parse: (payload: Uint8Array) => ParseResult<T>,
  ): Promise<T> {
    this.#channel = Channel.open(opener, request, this);
    const answer = parse(await this.#channel.acked);
    if ('value' in answer) return answer.value;
    throw this.#channel.failWrong(answer.error);
  }

  get end(): Promise<End> {
    return this.#end.promise;
  }

  get bytes(): AsyncIterableIterator<Uint8Array> {
    return readOnce(
      () => this.read(),
      () => this.close(),
    );
  }

  /** The next piece; undefined at the end. Asking for it gives back the credit of the one before. */
  async read(): Promise<Uint8Array | undefined> {
    return (await this.#buffer.read())?.bytes;
  }

  close(): void {
    this.#channel?.close();
  }

  /** What has come cannot be understood. */
  failWrong(sentence: string): Error {
    return this.#channel?.failWrong(sentence) ?? new WrongAnswerError(sentence);
  }

  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this.#buffer.push(stream, bytes);
  }

  onOver(how: ChannelEnd): void {
    if (how.kind === 'closed') {
      this.#end.reject(how.reason);
      this.#buffer.drop(how.aborted ? how.reason : undefined);
      return;
    }
    const end = how.kind === 'ended' ? endOf(how, this.#parseEnd) : { error: failureOf(how) };
    if ('value' in end) {
      this.#end.resolve(end.value);
      this.#buffer.end();
    } else {
      this.#end.reject(end.error);
      this.#buffer.end(end.error);
    }
  }
}

/** What the End says, or why that is not an End of this request. */
export function endOf<End>(
  how: Extract<ChannelEnd, { kind: 'ended' }>,
  parse: (payload: Uint8Array) => ParseResult<End>,
): { readonly value: End } | { readonly error: WrongAnswerError } {
  if (how.type !== messageTypes.End.code)
    return { error: new WrongAnswerError('it ended as a process does') };
  const end = parse(how.payload);
  return 'value' in end ? end : { error: new WrongAnswerError(end.error) };
}
