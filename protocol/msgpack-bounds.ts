import { viewOf } from './frame.ts';
import type { ParseResult } from './parse-result.ts';

/**
 * Looks at MessagePack bytes before anything is built from them. A decoder asked to trust its input turned 1 MiB of
 * empty maps into 64 MB and a quarter of a second, overflowed its stack on nesting, and decoded private extensions; what
 * passes here is one complete map of bounded depth and size, with text keys, no nil and no extension.
 */
export interface MsgpackBounds {
  readonly bytesMax: number;
  readonly depthMax: number;
  /** Every value counts, and every key. */
  readonly elementsMax: number;
  /** Whether a value may be nil. Absent: no. */
  readonly nil?: 'allowed';
}

/** What passes a bound, or undefined. One pass, no allocation but a stack of `depthMax` numbers. */
export function brokenBound(bytes: Uint8Array, bounds: MsgpackBounds): string | undefined {
  const end = endOfMap(bytes, bounds);
  if ('error' in end) return end.error;
  return end.value === bytes.length ? undefined : `${bytes.length - end.value} bytes behind the map`;
}

/** Where the one map at the beginning ends, when it keeps the bounds; what is behind it was not looked at. */
export function endOfMap(bytes: Uint8Array, bounds: MsgpackBounds): ParseResult<number> {
  if (bytes.length > bounds.bytesMax) return { error: `${bytes.length} bytes, over ${bounds.bytesMax}` };
  const view = viewOf(bytes);
  /** Per open container: items still to come, and whether it is a map. A map's items alternate key and value. */
  const remaining: number[] = [];
  const isMap: boolean[] = [];
  let offset = 0;
  let elements = 0;
  do {
    if (offset >= bytes.length) return { error: truncated };
    const depth = remaining.length;
    const expectKey = depth > 0 && isMap[depth - 1] === true && (remaining[depth - 1] ?? 0) % 2 === 0;
    const head = readHead(view, offset, bounds.nil === 'allowed');
    if (typeof head === 'string') return { error: head };
    if (depth === 0 && head.kind !== 'map') return { error: 'not a map' };
    if (expectKey) {
      if (head.kind !== 'text') return { error: 'a key that is not text' };
      if (isProtoKey(bytes, head.end - head.length, head.length)) return { error: 'the key __proto__' };
    }
    if (head.end > bytes.length) return { error: truncated };
    offset = head.end;
    elements += 1;
    if (elements > bounds.elementsMax) return { error: tooMany(bounds) };
    if (depth > 0) remaining[depth - 1] = (remaining[depth - 1] ?? 0) - 1;
    if (head.kind === 'map' || head.kind === 'array') {
      if (depth + 1 > bounds.depthMax) return { error: `nested deeper than ${bounds.depthMax}` };
      const items = head.kind === 'map' ? head.items * 2 : head.items;
      if (elements + items > bounds.elementsMax) return { error: tooMany(bounds) };
      remaining.push(items);
      isMap.push(head.kind === 'map');
    }
    while (remaining.length > 0 && remaining[remaining.length - 1] === 0) {
      remaining.pop();
      isMap.pop();
    }
  } while (remaining.length > 0);
  return { value: offset };
}

type Head =
  | { readonly kind: 'map' | 'array'; readonly end: number; readonly items: number; readonly length: 0 }
  | { readonly kind: 'text' | 'plain'; readonly end: number; readonly items: 0; readonly length: number };

/** The first byte and its length field: `end` is behind the whole scalar, or behind the container's own head. */
function readHead(view: DataView, offset: number, nilAllowed: boolean): Head | string {
  const first = view.getUint8(offset);
  if (first === 0xc0 && nilAllowed) return scalar('plain', offset + 1, 0);
  if (first <= 0x7f || first >= 0xe0) return scalar('plain', offset + 1, 0);
  if (first <= 0x8f) return container('map', offset + 1, first & 0x0f);
  if (first <= 0x9f) return container('array', offset + 1, first & 0x0f);
  if (first <= 0xbf) return scalar('text', offset + 1, first & 0x1f);
  const form = forms.get(first);
  if (form === undefined) return refusal(first);
  const { kind, sizeBytes } = form;
  if (kind === 'fixed') return scalar('plain', offset + 1, sizeBytes);
  const body = offset + 1 + sizeBytes;
  if (body > view.byteLength) return truncated;
  const size =
    sizeBytes === 1
      ? view.getUint8(offset + 1)
      : sizeBytes === 2
        ? view.getUint16(offset + 1)
        : view.getUint32(offset + 1);
  return kind === 'map' || kind === 'array' ? container(kind, body, size) : scalar(kind, body, size);
}

function scalar(kind: 'text' | 'plain', body: number, length: number): Head {
  return { kind, end: body + length, items: 0, length };
}

function container(kind: 'map' | 'array', end: number, items: number): Head {
  return { kind, end, items, length: 0 };
}

function refusal(first: number): string {
  if (first === 0xc0) return 'nil';
  if (first === 0xc1) return 'the byte 0xc1, which is never used';
  return 'an extension type';
}

function tooMany(bounds: MsgpackBounds): string {
  return `more than ${bounds.elementsMax} elements`;
}

const truncated = 'cut short';

/** First bytes from 0xc2 on that are allowed. `sizeBytes`: of the length field, or of the scalar itself where `fixed`. */
const forms: ReadonlyMap<number, { kind: 'fixed' | 'text' | 'plain' | 'array' | 'map'; sizeBytes: number }> =
  new Map([
    [0xc2, { kind: 'fixed', sizeBytes: 0 }],
    [0xc3, { kind: 'fixed', sizeBytes: 0 }],
    [0xc4, { kind: 'plain', sizeBytes: 1 }],
    [0xc5, { kind: 'plain', sizeBytes: 2 }],
    [0xc6, { kind: 'plain', sizeBytes: 4 }],
    [0xca, { kind: 'fixed', sizeBytes: 4 }],
    [0xcb, { kind: 'fixed', sizeBytes: 8 }],
    [0xcc, { kind: 'fixed', sizeBytes: 1 }],
    [0xcd, { kind: 'fixed', sizeBytes: 2 }],
    [0xce, { kind: 'fixed', sizeBytes: 4 }],
    [0xcf, { kind: 'fixed', sizeBytes: 8 }],
    [0xd0, { kind: 'fixed', sizeBytes: 1 }],
    [0xd1, { kind: 'fixed', sizeBytes: 2 }],
    [0xd2, { kind: 'fixed', sizeBytes: 4 }],
    [0xd3, { kind: 'fixed', sizeBytes: 8 }],
    [0xd9, { kind: 'text', sizeBytes: 1 }],
    [0xda, { kind: 'text', sizeBytes: 2 }],
    [0xdb, { kind: 'text', sizeBytes: 4 }],
    [0xdc, { kind: 'array', sizeBytes: 2 }],
    [0xdd, { kind: 'array', sizeBytes: 4 }],
    [0xde, { kind: 'map', sizeBytes: 2 }],
    [0xdf, { kind: 'map', sizeBytes: 4 }],
  ]);

const protoKey = [...'__proto__'].map((letter) => letter.charCodeAt(0));

function isProtoKey(bytes: Uint8Array, start: number, length: number): boolean {
  return length === protoKey.length && protoKey.every((byte, index) => byte === bytes[start + index]);
}
