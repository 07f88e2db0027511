import type { Registry } from 'prom-client';
import { ClosedCounter, ClosedGauge } from './closed-metrics.ts';

/** How an upgrade to a data socket ended. */
export const upgradeOutcomes = ['accepted', 'refused', 'abandoned'] as const;
export type UpgradeOutcome = (typeof upgradeOutcomes)[number];

/** What the channels of data sockets are for. */
export const channelUses = ['exec', 'files', 'ports'] as const;
export type ChannelUse = (typeof channelUses)[number];

/** Close codes of protocol/README.md section 9, 1005 for a client that gave none, and `other` for what clients make up. */
export const socketCloses = [
  '1000',
  '1001',
  '1003',
  '1005',
  '1006',
  '1009',
  '1011',
  '1013',
  '4400',
  '4401',
  'other',
] as const;
export type SocketClose = (typeof socketCloses)[number];

/** What the data sockets of this process do. Fits the observer of the data plane. */
export class DataPlaneMetrics {
  readonly #upgrades;
  readonly #connections;
  readonly #closes;
  readonly #channels;
  readonly #channelsOpened;
  readonly #bytes;
  /** Counted here and handed over at each scrape: a counter of the library costs more than a small message. */
  #receivedBytes = 0;
  #sentBytes = 0;

  constructor(registry: Registry) {
    const name = (what: string) => `warmpool_data_${what}`;
    this.#upgrades = new ClosedCounter(
      registry,
      name('upgrades_total'),
      'Upgrades to data sockets by outcome.',
      { outcome: upgradeOutcomes },
    );
    this.#connections = new ClosedGauge(registry, name('connections'), 'Open data sockets.', {});
    this.#closes = new ClosedCounter(
      registry,
      name('closes_total'),
      'Data sockets that ended, by close code.',
      { code: socketCloses },
    );
    this.#channels = new ClosedGauge(registry, name('channels'), 'Open channels of data sockets.', {
      use: channelUses,
    });
    this.#channelsOpened = new ClosedCounter(
      registry,
      name('channels_opened_total'),
      'Channels of data sockets.',
      { use: channelUses },
    );
    this.#bytes = new ClosedCounter(registry, name('bytes_total'), 'Bytes of messages of data sockets.', {
      direction: ['received', 'sent'],
    });
  }

  upgradeAnswered(outcome: UpgradeOutcome): void {
    this.#upgrades.add({ outcome });
  }

  connectionOpened(): void {
    this.#connections.add({}, 1);
  }

  connectionClosed(code: number): void {
    this.#connections.add({}, -1);
    this.#closes.add({ code: socketCloses.find((known) => known === String(code)) ?? 'other' });
  }

  channelOpened(use: ChannelUse): void {
    this.#channelsOpened.add({ use });
    this.#channels.add({ use }, 1);
  }

  channelEnded(use: ChannelUse): void {
    this.#channels.add({ use }, -1);
  }

  received(byteCount: number): void {
    this.#receivedBytes += byteCount;
  }

  sent(byteCount: number): void {
    this.#sentBytes += byteCount;
  }

  /** Before a scrape. */
  flush(): void {
    this.#bytes.add({ direction: 'received' }, this.#receivedBytes);
    this.#bytes.add({ direction: 'sent' }, this.#sentBytes);
    this.#receivedBytes = 0;
    this.#sentBytes = 0;
  }
}
