import type { FileEntry as Entry, FileKind } from '../operations/file-entry.ts';
import type { FilePath } from '../operations/operation-options.ts';
import type { FileEvent } from '../operations/watch-files.ts';
import type { FileEntry } from './gen/warmpool/v1/FileEntry.ts';
import type { FileEventType } from './gen/warmpool/v1/FileEventType.ts';
import type { FileKind as WireKind } from './gen/warmpool/v1/FileKind.ts';
import type { WatchDirResponse } from './gen/warmpool/v1/WatchDirResponse.ts';
import { formatTimestamp } from './wire/time.ts';

export function formatEntry(entry: Entry): FileEntry {
  const { size, mode, uid, gid, user, group, target } = entry;
  return {
    ...named('name', entry.name),
    kind: wireKind[entry.kind],
    size,
    mode,
    modifiedAt: formatTimestamp(entry.mtimeMs),
    uid,
    gid,
    ...(user !== undefined && { user }),
    ...(group !== undefined && { group }),
    ...(target !== undefined && named('target', target)),
  };
}

export function formatFileEvent(event: FileEvent): WatchDirResponse {
  if (event.event === 'overflow') return { type: wireEvent.overflow };
  const kind = event.kind && { kind: wireKind[event.kind] };
  return { type: wireEvent[event.event], ...named('path', event.path), ...kind };
}

/** A name that is no text goes into the field of bytes beside the one of text. */
function named<Field extends string>(field: Field, path: FilePath) {
  return typeof path === 'string' ? { [field]: path } : { [`${field}Bytes`]: path };
}

const wireKind: Readonly<Record<FileKind, Exclude<WireKind, number>>> = {
  file: 'FILE_KIND_FILE',
  directory: 'FILE_KIND_DIRECTORY',
  symlink: 'FILE_KIND_SYMLINK',
  fifo: 'FILE_KIND_FIFO',
  socket: 'FILE_KIND_SOCKET',
  block: 'FILE_KIND_BLOCK',
  character: 'FILE_KIND_CHARACTER',
};

const wireEvent: Readonly<Record<FileEvent['event'], Exclude<FileEventType, number>>> = {
  created: 'FILE_EVENT_TYPE_CREATED',
  modified: 'FILE_EVENT_TYPE_MODIFIED',
  deleted: 'FILE_EVENT_TYPE_DELETED',
  attributes: 'FILE_EVENT_TYPE_ATTRIBUTES',
  overflow: 'FILE_EVENT_TYPE_OVERFLOW',
};
