/** What can be written: to a file, or to the input of a process. Node's readable streams are async iterables too. */
export type ByteInput =
  | string
  | Uint8Array
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** As a stream of the web: pulled piece by piece, so that whoever does not read holds one window and no more. */
export function readableStream(sequence: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = sequence[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

export function writableStream(sink: {
  write(bytes: Uint8Array): Promise<void>;
  end(): void;
  abort?(): void;
}): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    write: (bytes) => sink.write(bytes),
    close: () => sink.end(),
    abort: () => sink.abort?.(),
  });
}

export function byteSource(input: ByteInput): Uint8Array | AsyncIterable<Uint8Array> {
  if (typeof input === 'string') return new TextEncoder().encode(input);
  if (input instanceof Uint8Array) return input;
  if (input instanceof Blob) return piecesOf(input.stream());
  return encodedPieces(isWebStream(input) ? piecesOf(input) : input);
}

/** All of it, or `onTooLarge()` thrown as soon as it is more. */
export async function collect(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
  onTooLarge: () => Error,
): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > bytesMax) throw onTooLarge();
    kept.push(piece);
  }
  return joined(kept, length);
}

export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Not every browser can iterate over a stream. */
async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader();
  let isRead = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    isRead = true;
  } finally {
    if (!isRead) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

async function* encodedPieces(pieces: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array, void> {
  const encoder = new TextEncoder();
  for await (const piece of pieces) yield typeof piece === 'string' ? encoder.encode(piece) : piece;
}

function isWebStream(input: object): input is ReadableStream<Uint8Array> {
  return 'getReader' in input;
}
