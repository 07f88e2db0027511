import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { parseTransferEnd } from '../../protocol/file-answers.ts';
import { encodeFileWrite } from '../../protocol/file-requests.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import { type ByteSource, writeAll } from './writing.ts';

export type { ByteSource } from './writing.ts';

export interface WriteFile extends FileScope {
  readonly path: FilePath;
  readonly mode?: number | undefined;
  /** With it or with `append` the file is written in place; without, it is replaced as a whole. */
  readonly offset?: number | undefined;
  readonly append?: boolean | undefined;
  readonly parents?: boolean | undefined;
  readonly exclusive?: boolean | undefined;
  readonly sync?: boolean | undefined;
  readonly sha256?: Uint8Array | undefined;
}

export interface WriteEnd {
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

/** When the source fails or the signal aborts, a file that is replaced stays as it was. */
export async function writeFile(
  opener: ChannelOpener,
  request: WriteFile,
  source: ByteSource,
  options: OperationOptions = {},
): Promise<WriteEnd> {
  const payload = encoded(encodeFileWrite(onWire(request)));
  const channel = { type: messageTypes.FileWrite.code, payload, signal: options.signal };
  return writeAll(opener, channel, source, parseWriteEnd);
}

function parseWriteEnd(payload: Uint8Array): ParseResult<WriteEnd> {
  const end = parseTransferEnd(payload);
  if ('error' in end) return end;
  const { bytes, sha256 } = end.value;
  return sha256 ? { value: { bytes, sha256 } } : { error: 'sha256: missing' };
}
