import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { Deferred } from '../deferred.ts';
import { Channel, failureOf, type OpenChannel } from './channel.ts';
import type { ChannelEnd } from './channel-user.ts';
import type { OperationOptions } from './operation-options.ts';
import { endOf } from './reading.ts';
import { WrongAnswerError } from './wrong-answer-error.ts';

/** A question on channel 0. On abort the answer is not waited for any more. */
export async function ask<T>(
  opener: ChannelOpener,
  type: number,
  payload: Uint8Array,
  parse: (payload: Uint8Array) => ParseResult<T>,
  options: OperationOptions = {},
): Promise<T> {
  options.signal?.throwIfAborted();
  const answer = parse(await unlessAborted(opener.request(type, payload), options.signal));
  if ('value' in answer) return answer.value;
  throw new WrongAnswerError(answer.error);
}

/** A request with a channel of its own that has nothing to stream: its answer is its End. */
export function askOnChannel<T>(
  opener: ChannelOpener,
  request: OpenChannel,
  parse: (payload: Uint8Array) => ParseResult<T>,
): Promise<T> {
  const answer = new Deferred<T>();
  const onOver = (how: ChannelEnd) => {
    const end = how.kind === 'ended' ? endOf(how, parse) : { error: failureOf(how) };
    if ('value' in end) answer.resolve(end.value);
    else answer.reject(end.error);
  };
  Channel.open(opener, request, { onOutput() {}, onOver });
  return answer.promise;
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
