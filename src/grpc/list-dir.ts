import type { SandboxSession } from '../allocator/api.ts';
import type { FileEntry } from '../operations/file-entry.ts';
import { listFiles } from '../operations/list-files.ts';
import { formatEntry } from './format-file.ts';
import type { ListDirResponse } from './gen/warmpool/v1/ListDirResponse.ts';
import { completed, formatPageToken, type parseListDir } from './parse-files.ts';

/** One page. It ends early when its names and link targets would not fit a message with certainty. */
export async function listDir(
  session: SandboxSession,
  request: ReturnType<typeof parseListDir>,
  signal: AbortSignal,
): Promise<ListDirResponse> {
  const listing = await listFiles(session.guest, completed(session, request), { signal });
  const entries: FileEntry[] = [];
  let bytes = 0;
  for await (const entry of listing.entries) {
    entries.push(entry);
    bytes += entryBytes(entry);
    if (bytes > pageBytesMax) {
      listing.close();
      return page(entries, true);
    }
  }
  return page(entries, (await listing.end).more);
}

function page(entries: readonly FileEntry[], more: boolean): ListDirResponse {
  const last = entries.at(-1);
  return {
    entries: entries.map(formatEntry),
    ...(more && last && { nextPageToken: formatPageToken(last.name) }),
  };
}

function entryBytes({ name, target = '', user = '', group = '' }: FileEntry): number {
  return fixedBytes + 3 * (name.length + target.length + user.length + group.length);
}

const fixedBytes = 64;
/** Half of what a message may have. */
const pageBytesMax = 2 * 1024 * 1024;
