import {
  encodeExecAttach,
  encodeExecStart,
  parseExecAttach,
  parseExecRequest,
} from '../../protocol/exec-messages.ts';
import {
  encodeFileChange,
  encodeFileList,
  encodeFileMkdir,
  encodeFileRead,
  encodeFileRemove,
  encodeFileRename,
  encodeFileStat,
  encodeFileWatch,
  encodeFileWrite,
  encodeTarRead,
  encodeTarWrite,
  type FileRequest,
  parseFileChange,
  parseFileList,
  parseFileMkdir,
  parseFileRead,
  parseFileRemove,
  parseFileRename,
  parseFileStat,
  parseFileWatch,
  parseFileWrite,
  parseTarRead,
  parseTarWrite,
} from '../../protocol/file-requests.ts';
import { present } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import {
  encodePortConnect,
  encodePortWatch,
  parsePortConnect,
  parsePortWatch,
} from '../../protocol/port-messages.ts';
import type { SandboxSession } from '../allocator/api.ts';

/** A request that opens a channel, as its client sent it. */
export interface Opening {
  /** The output window that the client asks for. */
  readonly window: number | undefined;
  /** As the guest is asked: with what the claim customised, and with the window that the client gets. */
  complete(sandbox: SandboxSession, window: number): ParseResult<Uint8Array>;
}

/** `code` is that of a message that opens a channel. */
export function parseOpening(code: number, payload: Uint8Array): ParseResult<Opening> {
  const parse = parsers.get(code);
  return parse ? parse(payload) : { error: 'opens no channel' };
}

type OpeningParser = (payload: Uint8Array) => ParseResult<Opening>;

function fileRequest<T extends FileRequest>(
  parse: (payload: Uint8Array) => ParseResult<T>,
  encode: (request: T) => ParseResult<Uint8Array>,
): OpeningParser {
  return (payload) => {
    const request = parse(payload);
    if ('error' in request) return request;
    const { user, cwd, window: asked } = request.value;
    return {
      value: {
        window: asked,
        complete: (sandbox, window) =>
          encode({ ...request.value, ...sandbox.completeFiles(present({ user, cwd })), window }),
      },
    };
  };
}

function parseStart(payload: Uint8Array): ParseResult<Opening> {
  const request = parseExecRequest(payload);
  if ('error' in request) return request;
  const { env, user, cwd, stdin, window: asked } = request.value;
  return {
    value: {
      window: asked,
      complete: (sandbox, window) =>
        encodeExecStart({
          ...request.value,
          ...sandbox.completeExec(present({ env, user, cwd })),
          stdin: stdin ?? true,
          window,
        }),
    },
  };
}

/** For requests that the claim has nothing to say about. */
function plain<T extends { readonly window?: number }>(
  parse: (payload: Uint8Array) => ParseResult<T>,
  encode: (request: T) => Uint8Array,
): OpeningParser {
  return (payload) => {
    const request = parse(payload);
    if ('error' in request) return request;
    return {
      value: {
        window: request.value.window,
        complete: (_sandbox, window) => ({ value: encode({ ...request.value, window }) }),
      },
    };
  };
}

const parsers: ReadonlyMap<number, OpeningParser> = new Map([
  [messageTypes.ExecStart.code, parseStart],
  [messageTypes.ExecAttach.code, plain(parseExecAttach, encodeExecAttach)],
  [messageTypes.FileRead.code, fileRequest(parseFileRead, encodeFileRead)],
  [messageTypes.FileWrite.code, fileRequest(parseFileWrite, encodeFileWrite)],
  [messageTypes.TarRead.code, fileRequest(parseTarRead, encodeTarRead)],
  [messageTypes.TarWrite.code, fileRequest(parseTarWrite, encodeTarWrite)],
  [messageTypes.FileList.code, fileRequest(parseFileList, encodeFileList)],
  [messageTypes.FileStat.code, fileRequest(parseFileStat, encodeFileStat)],
  [messageTypes.FileMkdir.code, fileRequest(parseFileMkdir, encodeFileMkdir)],
  [messageTypes.FileRename.code, fileRequest(parseFileRename, encodeFileRename)],
  [messageTypes.FileRemove.code, fileRequest(parseFileRemove, encodeFileRemove)],
  [messageTypes.FileChange.code, fileRequest(parseFileChange, encodeFileChange)],
  [messageTypes.FileWatch.code, fileRequest(parseFileWatch, encodeFileWatch)],
  [messageTypes.PortWatch.code, plain(parsePortWatch, encodePortWatch)],
  [messageTypes.PortConnect.code, plain(parsePortConnect, encodePortConnect)],
]);
