import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { parseEmptyMap } from '../../protocol/map-message.ts';
import { Deferred } from '../deferred.ts';
import { Channel, failureOf, type OpenChannel } from './channel.ts';
import type { ChannelEnd, ChannelUser } from './channel-user.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { PortConnection } from './ports.ts';
import { readOnce } from './read-once.ts';
import { endOf } from './reading.ts';

/** A TCP connection over a channel: each direction ends on its own, and the connection with the second. */
export class Tunnel implements PortConnection, ChannelUser {
  readonly #buffer = new OutputBuffer((bytes) => this.#channel?.release(bytes));
  readonly #closed = new Deferred<void>();
  #channel: Channel | undefined;

  async open(opener: ChannelOpener, request: OpenChannel): Promise<PortConnection> {
    this.#channel = Channel.open(opener, request, this);
    await this.#channel.acked;
    return this;
  }

  get bytes(): AsyncIterableIterator<Uint8Array> {
    return readOnce(
      async () => (await this.#buffer.read())?.bytes,
      () => this.#buffer.discard(),
    );
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#channel?.input.write(bytes);
  }

  end(): void {
    this.#channel?.input.end();
  }

  close(): void {
    this.#channel?.close();
  }

  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this.#buffer.push(stream, bytes);
  }

  onOutputEof(): void {
    this.#buffer.end();
  }

  onOver(how: ChannelEnd): void {
    if (how.kind === 'closed') {
      this.#closed.reject(how.reason);
      this.#buffer.drop(how.aborted ? how.reason : undefined);
      return;
    }
    const end = how.kind === 'ended' ? endOf(how, parseEmptyMap) : { error: failureOf(how) };
    if ('value' in end) {
      this.#closed.resolve();
      this.#buffer.end();
    } else {
      this.#closed.reject(end.error);
      this.#buffer.end(end.error);
    }
  }
}
