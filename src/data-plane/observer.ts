/** What the data plane counts. Metrics implements it; tests may leave it silent. */
export interface DataPlaneObserver {
  upgradeAnswered(outcome: UpgradeOutcome): void;
  connectionOpened(): void;
  connectionClosed(code: number): void;
  channelOpened(kind: ChannelUse): void;
  channelEnded(kind: ChannelUse): void;
  /** Messages as they are on the socket, without the WebSocket's own headers. */
  received(byteCount: number): void;
  sent(byteCount: number): void;
}

export type UpgradeOutcome = 'accepted' | 'refused' | 'abandoned';
export type ChannelUse = 'exec' | 'files' | 'ports';

export const silentObserver: DataPlaneObserver = {
  upgradeAnswered() {},
  connectionOpened() {},
  connectionClosed() {},
  channelOpened() {},
  channelEnded() {},
  received() {},
  sent() {},
};
