import { invalidRequest, type WarmpoolError } from '../../domain/errors.ts';
import { shardCount } from '../../domain/ids.ts';
import type { EventCursor } from '../pool-store.ts';

/**
 * A position in the event streams of all shards at once: `<store>.<shard 0>.<shard 1>…`, each place being a stream id
 * (milliseconds and a sequence number) in base 36 with its zeros left out. At most 370 characters. In memory the places
 * are Redis stream ids, `ms-seq`, one for each shard.
 */

const idPattern = /^\d{1,16}-\d{1,16}$/;

/** The first characters of the store's id tell a cursor of another store, or of one that was wiped. */
function storeMark(storeId: string): string {
  return storeId.slice(-8);
}

export class CursorWriter {
  readonly #mark: string;
  readonly #ids: string[];
  readonly #parts: string[];

  constructor(storeId: string, places: readonly string[]) {
    this.#mark = storeMark(storeId);
    this.#ids = [...places];
    this.#parts = this.#ids.map(formatPlace);
  }

  get ids(): readonly string[] {
    return this.#ids;
  }

  /** The position after this event of this shard. */
  advance(shard: number, id: string): EventCursor {
    this.#ids[shard] = id;
    this.#parts[shard] = formatPlace(id);
    return `${this.#mark}.${this.#parts.join('.')}`;
  }
}

export function parseCursor(storeId: string, cursor: EventCursor): readonly string[] {
  const [mark, ...parts] = cursor.length <= 512 ? cursor.split('.') : [];
  const ids = parts.map(parsePlace);
  if (parts.length !== shardCount || ids.some((id) => id === null)) {
    throw unreadableCursor('is not an event id of this service');
  }
  if (mark !== storeMark(storeId)) throw unreadableCursor('was given out by another store');
  return ids.filter((id) => id !== null);
}

export function unreadableCursor(why: string): WarmpoolError {
  return invalidRequest([{ field: 'after_event_id', description: why }]);
}

function formatPlace(id: string): string {
  if (!idPattern.test(id) || id === '0-0') return '';
  const [milliseconds = '0', sequence = '0'] = id.split('-');
  const time = Number(milliseconds).toString(36);
  return sequence === '0' ? time : `${time}-${Number(sequence).toString(36)}`;
}

function parsePlace(text: string): string | null {
  if (text === '') return '0-0';
  const match = /^([0-9a-z]{1,10})(?:-([0-9a-z]{1,10}))?$/.exec(text);
  if (match?.[1] === undefined) return null;
  return `${Number.parseInt(match[1], 36)}-${Number.parseInt(match[2] ?? '0', 36)}`;
}
