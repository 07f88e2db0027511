import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { ReadFileRequest } from '../../src/grpc/gen/warmpool/v1/ReadFileRequest.ts';
import type { ReadFileResponse__Output } from '../../src/grpc/gen/warmpool/v1/ReadFileResponse.ts';
import type { WriteFileHeader } from '../../src/grpc/gen/warmpool/v1/WriteFileHeader.ts';
import type { WriteFileResponse__Output } from '../../src/grpc/gen/warmpool/v1/WriteFileResponse.ts';
import type { RawClients } from './grpc-raw.ts';

export type Files = RawClients['files'];

/** A unary call as a promise. */
export function answerOf<Request, Response>(
  send: (request: Request, done: (error: ServiceError | null, response?: Response) => void) => unknown,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    send(request, (error, response) => {
      if (error || !response) reject(error);
      else resolve(response);
    });
  });
}

/** Writes with the backpressure of the stream, as a client should. */
export async function upload(
  files: Files,
  header: WriteFileHeader,
  chunks: Iterable<Buffer>,
): Promise<WriteFileResponse__Output> {
  let answered: (error: ServiceError | null, response?: WriteFileResponse__Output) => void = () => {};
  const answer = new Promise<WriteFileResponse__Output>((resolve, reject) => {
    answered = (error, response) => (error || !response ? reject(error) : resolve(response));
  });
  answer.catch(() => {});
  const stream = files.writeFile((error, response) => answered(error, response));
  stream.write({ header });
  for (const chunk of chunks) {
    if (!stream.write({ chunk })) await Promise.race([once(stream, 'drain'), answer]);
  }
  stream.end({ end: {} });
  return answer;
}

/** Reads to the end: how much, its checksum, the order of the kinds of messages, and the last of them. */
export async function download(files: Files, request: ReadFileRequest) {
  const stream: ClientReadableStream<ReadFileResponse__Output> = files.readFile(request);
  const hash = createHash('sha256');
  let bytes = 0;
  const kinds: string[] = [];
  let end: ReadFileResponse__Output['end'] = null;
  for await (const message of stream as AsyncIterable<ReadFileResponse__Output>) {
    const kind = message.message ?? '';
    if (kinds.at(-1) !== kind) kinds.push(kind);
    if (message.chunk) {
      assert.ok(message.chunk.length <= 65_536);
      hash.update(message.chunk);
      bytes += message.chunk.length;
    }
    if (message.end) end = message.end;
  }
  return { bytes, sha256: hash.digest('hex'), kinds, end };
}
