/** What an operation is told by its channel, in order; `onOver` once and last. */
export interface ChannelUser {
  /** The Ack has come; nothing else comes before it. */
  onAck?(payload: Uint8Array): void;
  /** The bytes may be kept. Whoever takes them releases them (`Channel.release`). */
  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  onOutputEof?(): void;
  onOver(how: ChannelEnd): void;
}

export type ChannelEnd =
  /** End or ExecExit. */
  | { readonly kind: 'ended'; readonly type: number; readonly payload: Uint8Array }
  /** An Error, a wrong answer, or the wire was lost: what came before it is still good. */
  | { readonly kind: 'failed'; readonly error: Error }
  /** `close` was called, or the signal was aborted: nobody wants what came before it. */
  | { readonly kind: 'closed'; readonly reason: unknown; readonly aborted: boolean };
