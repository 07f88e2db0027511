/**
 * An Ack's map with one key more, `window`, without decoding the rest: the map's head says how many pairs it has, and a
 * further pair stands behind the last. Everything else in it is the guest's and goes on as it came.
 */
export function withWindow(map: Uint8Array, window: number): Uint8Array {
  const head = headFor(map);
  const result = new Uint8Array(head.bytes.length + (map.length - head.replaced) + windowKey.length + 5);
  let at = 0;
  const append = (bytes: Uint8Array) => {
    result.set(bytes, at);
    at += bytes.length;
  };
  append(head.bytes);
  append(map.subarray(head.replaced));
  append(windowKey);
  result[at] = uint32;
  new DataView(result.buffer).setUint32(at + 1, window);
  return result;
}

/** The head of a map with one pair more, and how many bytes of the present head it stands for. */
function headFor(map: Uint8Array): { readonly bytes: Uint8Array; readonly replaced: number } {
  const first = map[0] ?? fixmap;
  if (first >= fixmap && first < fixmap + fixmapPairsMax) {
    return { bytes: Uint8Array.of(first + 1), replaced: 1 };
  }
  // A map of the wire has a few thousand pairs at most, so that sixteen bits count them.
  const sizeBytes = first === map32 ? 4 : first === map16 ? 2 : 0;
  const size = map.subarray(1, 1 + sizeBytes).reduce((sum, byte) => sum * 256 + byte, 0);
  const pairs = (sizeBytes === 0 ? fixmapPairsMax : size) + 1;
  return { bytes: Uint8Array.of(map16, pairs >> 8, pairs & 0xff), replaced: 1 + sizeBytes };
}

const fixmap = 0x80;
const fixmapPairsMax = 15;
const map16 = 0xde;
const map32 = 0xdf;
const uint32 = 0xce;
const windowKey = Uint8Array.of(0xa6, ...Buffer.from('window'));
