import type { Principal, SandboxSession } from '../allocator/api.ts';
import { changeFile, makeDirectory, removeFile, renameFile, statFile } from '../operations/change-files.ts';
import { readFile } from '../operations/read-file.ts';
import { readTar, writeTar } from '../operations/tar.ts';
import { writeFile } from '../operations/write-file.ts';
import { download } from './download.ts';
import type { Edge } from './edge.ts';
import { formatEntry } from './format-file.ts';
import type { FileServiceHandlers } from './gen/warmpool/v1/FileService.ts';
import type { WriteTarHeader__Output } from './gen/warmpool/v1/WriteTarHeader.ts';
import { listDir } from './list-dir.ts';
import {
  completed,
  type FilePlace,
  parseChange,
  parseListDir,
  parseMakeDir,
  parsePlace,
  parseReadFile,
  parseRename,
  parseWriteFile,
} from './parse-files.ts';
import { withSession } from './session-use.ts';
import { type CallSignal, unary } from './unary-call.ts';
import { upload } from './upload.ts';
import { watchDir } from './watch-dir.ts';

/** The operations on files as an edge. Looking does not renew the lease; reading, writing and changing do. */
export function fileService(edge: Edge): FileServiceHandlers {
  return {
    ReadFile: download(edge, {
      parse: parseReadFile,
      open: (session, request, signal) => readFile(session.guest, completed(session, request), { signal }),
      formatEnd: ({ bytes, sha256 }) => ({ end: { bytes, ...(sha256 && { sha256 }) } }),
    }),
    ReadTar: download(edge, {
      parse: parsePlace,
      open: (session, request, signal) => readTar(session.guest, completed(session, request), { signal }),
      formatEnd: (end) => ({ end }),
    }),
    WriteFile: upload(edge, {
      parse: parseWriteFile,
      write: (session, request, source, signal) =>
        writeFile(session.guest, completed(session, request), source, { signal }),
    }),
    WriteTar: upload(edge, {
      parse: (header: WriteTarHeader__Output) => ({ ...parsePlace(header), parents: header.parents }),
      write: (session, request, source, signal) =>
        writeTar(session.guest, completed(session, request), source, { signal }),
    }),
    WatchDir: watchDir(edge),
    ListDir: unary(edge, 'useFiles', (principal, wire, call) => {
      const request = parseListDir(wire);
      const list = (session: SandboxSession) => listDir(session, request, call.signal);
      return withSession(edge, principal, request.sandboxId, list, call.signal);
    }),
    Stat: unary(edge, 'useFiles', (principal, wire, call) => {
      const request = { ...parsePlace(wire), follow: !wire.noFollow };
      const stat = async (session: SandboxSession) => {
        const entry = await statFile(session.guest, completed(session, request), call);
        return { entry: formatEntry(entry) };
      };
      return withSession(edge, principal, request.sandboxId, stat, call.signal);
    }),
    MakeDir: unary(edge, 'useFiles', (principal, wire, call) =>
      changing({ edge, principal, call }, parseMakeDir(wire), async (session, request) => ({
        created: await makeDirectory(session.guest, request, call),
      })),
    ),
    Rename: unary(edge, 'useFiles', (principal, wire, call) =>
      changing({ edge, principal, call }, parseRename(wire), async (session, request) => {
        await renameFile(session.guest, request, call);
        return {};
      }),
    ),
    Remove: unary(edge, 'useFiles', (principal, wire, call) => {
      const request = { ...parsePlace(wire), recursive: wire.recursive };
      return changing({ edge, principal, call }, request, async (session, completedRequest) => ({
        removed: await removeFile(session.guest, completedRequest, call),
      }));
    }),
    Change: unary(edge, 'useFiles', (principal, wire, call) =>
      changing({ edge, principal, call }, parseChange(wire), async (session, request) => ({
        entry: formatEntry(await changeFile(session.guest, request, call)),
      })),
    ),
  };
}

/** A request that changes something, which is use of the sandbox. */
function changing<T extends FilePlace, R>(
  { edge, principal, call }: { edge: Edge; principal: Principal; call: CallSignal },
  request: T,
  change: (session: SandboxSession, request: ReturnType<typeof completed<T>>) => Promise<R>,
): Promise<R> {
  const use = (session: SandboxSession) => {
    session.used();
    return change(session, completed(session, request));
  };
  return withSession(edge, principal, request.sandboxId, use, call.signal);
}
