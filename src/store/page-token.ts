import { invalidRequest } from '../domain/errors.ts';
import { isSandboxId, shardOfSandbox } from '../domain/ids.ts';

/**
 * Where a page of `list` ended: after this sandbox, whose place in its shard is `order` (larger is newer). Pages go
 * through the shards upwards and through each shard from new to old, so a token stays good while others come and go.
 * It holds no tenant: the listing is keyed by the caller's, and a foreign token only starts in another place.
 */
export interface PagePosition {
  readonly shard: number;
  readonly order: number;
  readonly id: string;
}

export function formatPageToken(position: PagePosition): string {
  return Buffer.from(`${position.id}${position.order.toString(36)}`).toString('base64url');
}

/** The start of the listing when there is no token. Throws INVALID_REQUEST for one that we never made. */
export function parsePageToken(token: string | undefined): PagePosition | null {
  if (token === undefined || token === '') return null;
  const text = Buffer.from(token.slice(0, 128), 'base64url').toString('latin1');
  const id = text.slice(0, 20);
  const orderText = text.slice(20);
  const order = Number.parseInt(orderText, 36);
  if (!isSandboxId(id) || !/^[0-9a-z]{1,11}$/.test(orderText) || !Number.isSafeInteger(order)) {
    throw invalidRequest([
      { field: 'page_token', description: 'is not a token of an earlier page of this listing' },
    ]);
  }
  return { shard: shardOfSandbox(id), order, id };
}
