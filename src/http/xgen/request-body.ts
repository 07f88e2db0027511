import type { Context } from 'hono';
import { XgenFailure } from '../../data-plane/xgen/xgen-failure.ts';
import { BodyReader, isObject } from './body-reader.ts';

/** Clients call everything with a content type of JSON, also where they send nothing. Throws XgenFailure INVALID_REQUEST. */
export async function readBody(c: Context): Promise<BodyReader> {
  if (c.req.method === 'GET' || c.req.method === 'DELETE') return new BodyReader({});
  const text = await readText(c.req.raw.body);
  if (text.trim() === '') return new BodyReader({});
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new XgenFailure('INVALID_REQUEST', 'the body is not JSON');
  }
  if (!isObject(body)) throw new XgenFailure('INVALID_REQUEST', 'the body is not a JSON object');
  return new BodyReader(body);
}

/** However long its sender says it is, no more than the limit is held. */
async function readText(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.length;
    if (bytes > bodyBytesMax)
      throw new XgenFailure('INVALID_REQUEST', 'the body is over 1 MiB', undefined, 413);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

const bodyBytesMax = 1_048_576;
