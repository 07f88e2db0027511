import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { type FileKind, parseWatchRecord, type WatchRecord } from '../../protocol/file-answers.ts';
import { encodeFileWatch } from '../../protocol/file-requests.ts';
import { parseEmptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import { Reading } from './reading.ts';
import { recordsOf } from './record-reading.ts';

export interface WatchFiles extends FileScope {
  readonly path: FilePath;
  readonly recursive?: boolean | undefined;
}

export type FileEvent =
  | {
      readonly event: 'created' | 'modified' | 'deleted' | 'attributes';
      /** From the watched directory; empty for itself. */
      readonly path: FilePath;
      readonly kind?: FileKind;
    }
  /** Events were lost: look for yourself. */
  | { readonly event: 'overflow' };

export interface FileWatch {
  /** Read it once. Ends after `close`; leaving the loop closes. Throws when the watch is ended from inside. */
  readonly events: AsyncIterable<FileEvent>;
  close(): void;
}

/** Settles once the watch is on: what changes after that is told. */
export async function watchFiles(
  opener: ChannelOpener,
  request: WatchFiles,
  options: OperationOptions = {},
): Promise<FileWatch> {
  const payload = encoded(encodeFileWatch(onWire(request)));
  const { windowBytes } = request;
  const { signal } = options;
  const reading = new Reading(parseEmptyMap);
  const type = messageTypes.FileWatch.code;
  await reading.open(opener, { type, payload, windowBytes, signal }, parseEmptyMap);
  return { events: recordsOf(reading, parseEvent), close: () => reading.close() };
}

function parseEvent(record: Uint8Array): ParseResult<FileEvent> {
  const parsed = parseWatchRecord(record);
  return 'value' in parsed ? { value: eventOf(parsed.value) } : parsed;
}

function eventOf(record: WatchRecord): FileEvent {
  return 'overflow' in record ? { event: 'overflow' } : record;
}
