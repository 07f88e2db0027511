import { ResponderError } from '../../protocol/channel-opener.ts';
import { isResponderErrorCode, type ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import { type ErrorCode, invalidRequest, WarmpoolError } from '../domain/errors.ts';

/**
 * What a caller is told when a guest refuses something: the guest's error, in the words of the catalogue. Total over the
 * guest's codes, so that a new one does not compile until it is answered here. Anything else is given back as it is.
 */
export function responderFailure(error: unknown): unknown {
  if (!(error instanceof ResponderError)) return error;
  const sentence = printable(error.message);
  if (!isResponderErrorCode(error.code)) {
    return new WarmpoolError('INTERNAL', `the guest refused with an unknown code: ${sentence}`);
  }
  if (error.code === 'invalid_payload') {
    return invalidRequest([{ field: fieldNamed(sentence), description: sentence }]);
  }
  const { code, says } = byCode[error.code];
  const field = fieldOf[error.code];
  const message = sentence === '' ? says : `${says}: ${sentence}`;
  return new WarmpoolError(
    code,
    message,
    field === undefined ? {} : { violations: [{ field, description: message }] },
    { cause: error },
  );
}

interface Answer {
  readonly code: ErrorCode;
  readonly says: string;
}

const byCode: Readonly<Record<Exclude<ResponderErrorCode, 'invalid_payload'>, Answer>> = {
  user_unknown: { code: 'USER_UNKNOWN', says: 'there is no such user or group in the sandbox' },
  user_unavailable: { code: 'USER_UNAVAILABLE', says: 'this sandbox cannot act as that user' },
  cwd_invalid: { code: 'CWD_INVALID', says: 'the directory to start in is not one that this user may enter' },
  command_not_found: { code: 'COMMAND_NOT_FOUND', says: 'there is no such command in the sandbox' },
  command_not_executable: {
    code: 'COMMAND_NOT_EXECUTABLE',
    says: 'the command is not executable for this user',
  },
  limit_exceeded: { code: 'LIMIT_EXCEEDED', says: 'a limit of the sandbox was reached' },
  process_unknown: { code: 'PROCESS_UNKNOWN', says: 'there is no such process, or its record is gone' },
  taken_over: { code: 'PROCESS_TAKEN_OVER', says: 'somebody else has attached to the process' },
  not_found: { code: 'FILE_NOT_FOUND', says: 'no such file or directory' },
  exists: { code: 'FILE_EXISTS', says: 'it is there already' },
  not_directory: { code: 'NOT_A_DIRECTORY', says: 'the path, or a part of it, is not a directory' },
  is_directory: { code: 'IS_A_DIRECTORY', says: 'it is a directory' },
  not_regular: { code: 'NOT_REGULAR', says: 'it is a pipe, a socket or a device' },
  not_empty: { code: 'DIRECTORY_NOT_EMPTY', says: 'the directory is not empty' },
  permission_denied: { code: 'FILE_PERMISSION_DENIED', says: 'this user may not do that' },
  name_invalid: { code: 'PATH_INVALID', says: 'no file can have such a name' },
  outside_root: { code: 'FILE_PERMISSION_DENIED', says: 'the path leads out of where it must stay' },
  too_many_links: { code: 'PATH_INVALID', says: 'the path runs in a circle of symbolic links' },
  no_space: { code: 'NO_SPACE', says: 'the disk is full, or a quota or limit of file size is reached' },
  read_only: { code: 'FILE_SYSTEM_READ_ONLY', says: 'the file system is read-only, or the place is busy' },
  cross_device: { code: 'CROSS_DEVICE', says: 'a file cannot be renamed into another file system' },
  checksum_mismatch: { code: 'CHECKSUM_MISMATCH', says: 'other bytes came than the checksum says' },
  archive_invalid: { code: 'ARCHIVE_INVALID', says: 'the archive cannot be unpacked there' },
  io_error: { code: 'FILE_ERROR', says: 'the sandbox could not do that' },
  connection_refused: { code: 'PORT_CLOSED', says: 'nobody listens on that port' },
  connection_reset: { code: 'CONNECTION_RESET', says: 'the connection was broken inside the sandbox' },
  forbidden: { code: 'PERMISSION_DENIED', says: 'the credential lacks a scope' },
  not_ready: { code: 'GUEST_UNREACHABLE', says: 'the sandbox does not answer now' },
  spawn_failed: { code: 'INTERNAL', says: 'the sandbox could not start it' },
  // This node's own bookkeeping makes these impossible.
  unknown_message: { code: 'INTERNAL', says: 'the guest does not know the request' },
  channel_in_use: { code: 'INTERNAL', says: 'the guest has that channel in use' },
  credit_exceeded: { code: 'INTERNAL', says: 'the guest was sent more than it had granted' },
};

/** Codes that are about one field of a request. */
const fieldOf: Partial<Record<ResponderErrorCode, string>> = {
  user_unknown: 'user',
  user_unavailable: 'user',
  cwd_invalid: 'cwd',
  command_not_found: 'argv[0]',
  command_not_executable: 'argv[0]',
  name_invalid: 'path',
  too_many_links: 'path',
  checksum_mismatch: 'sha256',
};

/** The message of `invalid_payload` names the key; anything else than a key of ours is about the request as a whole. */
function fieldNamed(sentence: string): string {
  return sentence.match(/[a-z_0-9]+/g)?.find((word) => keys.has(word)) ?? 'request';
}

const keys: ReadonlySet<string> = new Set([
  ...[
    'argv',
    'env',
    'cwd',
    'user',
    'stdin',
    'timeout_ms',
    'tty',
    'cols',
    'rows',
    'detach',
    'replay',
    'process',
  ],
  ...[
    'offset',
    'path',
    'to',
    'root',
    'mode',
    'length',
    'sha256',
    'append',
    'owner',
    'mtime_ms',
    'limit',
    'port',
  ],
]);

/** Text from a sandbox, safe and short enough for a message. */
function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Surrogate}]/gu, '\ufffd');
  return clean.length <= printableCharsMax ? clean : `${clean.slice(0, printableCharsMax)}…`;
}

/** Enough for a path and a reason; gRPC carries messages in headers, which are bounded. */
const printableCharsMax = 200;
