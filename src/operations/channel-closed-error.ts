/** What waits on a channel that its own user closed rejects with this. */
export class ChannelClosedError extends Error {
  override readonly name = 'ChannelClosedError';

  constructor(message = 'the channel was closed here') {
    super(message);
  }
}
