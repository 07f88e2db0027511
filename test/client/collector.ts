import type { ChannelReceiver } from '../../protocol/channel-opener.ts';
import { encodeCredit } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import { within } from '../support/within.ts';

/** Collects what a channel is given, and lets a test wait for it. */
export class Collector implements ChannelReceiver {
  readonly frames: Frame[] = [];
  lost: Error | null = null;
  #text = '';
  readonly #wakes: (() => void)[] = [];

  onFrame(frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === messageTypes.Output.code) this.#text += Buffer.from(frame.payload).toString();
    this.#wake();
  }

  onLost(error: Error): void {
    this.lost = error;
    this.#wake();
  }

  get text(): string {
    return this.#text;
  }

  get names(): readonly string[] {
    return this.frames.map((frame) => messageName(frame.type));
  }

  async until(isThere: () => boolean): Promise<void> {
    const seen = () => `frames of a channel; there were: ${this.names.join()} ${this.lost?.message ?? ''}`;
    while (!isThere()) await within(new Promise<void>((resolve) => this.#wakes.push(resolve)), seen);
  }

  async has(type: { readonly code: number }): Promise<Frame> {
    const find = () => this.frames.find((frame) => frame.type === type.code);
    await this.until(() => find() !== undefined || this.lost !== null);
    const frame = find();
    if (frame === undefined) throw this.lost ?? new Error('no frame');
    return frame;
  }

  async ended(): Promise<void> {
    await this.until(() => this.lost !== null || this.frames.some((frame) => isTerminal(frame.type)));
  }

  async isLost(): Promise<Error> {
    await this.until(() => this.lost !== null);
    return this.lost ?? new Error('not lost');
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}

/** A grant, as a receiver that has consumed output sends it. */
export const credit = (bytes: number) => [messageTypes.Credit.code, encodeCredit(bytes)] as const;
