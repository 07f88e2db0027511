import type { ErrorMessage } from '../../protocol/control-messages.ts';
import type { ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import { invalidRequest, WarmpoolError } from '../domain/errors.ts';
import type { GuestCommand } from './guest.ts';

/**
 * What a caller is told when the guest refuses to start a process. Total over the guest's codes, so a new one does not
 * compile until it is answered here. The sentences are ours: the guest's text is shown only where nothing else says it.
 */
export function execError(error: ErrorMessage, command: GuestCommand): WarmpoolError {
  return byCode[error.code](command, printable(error.message));
}

const byCode: Record<ResponderErrorCode, (command: GuestCommand, message: string) => WarmpoolError> = {
  invalid_payload: (_command, message) =>
    invalidRequest([{ field: fieldNamed(message), description: message }]),
  user_unknown: ({ user }) =>
    aboutField('USER_UNKNOWN', 'user', `there is no user or group ${quoted(user)} in the sandbox`),
  user_unavailable: ({ user }) =>
    aboutField('USER_UNAVAILABLE', 'user', `this sandbox cannot run commands as ${quoted(user)}`),
  cwd_invalid: ({ cwd }) =>
    aboutField('CWD_INVALID', 'cwd', `${quoted(cwd)} is not a directory that this user may enter`),
  command_not_found: ({ argv }) =>
    aboutField('COMMAND_NOT_FOUND', 'argv[0]', `there is no command ${quoted(argv[0])} in the sandbox`),
  command_not_executable: ({ argv }) =>
    aboutField('COMMAND_NOT_EXECUTABLE', 'argv[0]', `${quoted(argv[0])} is not executable for this user`),
  limit_exceeded: (_command, message) =>
    new WarmpoolError('LIMIT_EXCEEDED', `a limit of the sandbox was reached: ${message}`),
  spawn_failed: (_command, message) =>
    new WarmpoolError('INTERNAL', `the sandbox could not start the command: ${message}`),
  ...impossible([
    'unknown_message',
    'channel_in_use',
    'credit_exceeded',
    'process_unknown',
    'taken_over',
    'not_found',
    'exists',
    'not_directory',
    'is_directory',
    'not_regular',
    'not_empty',
    'permission_denied',
    'name_invalid',
    'outside_root',
    'too_many_links',
    'no_space',
    'read_only',
    'cross_device',
    'checksum_mismatch',
    'archive_invalid',
    'io_error',
    'connection_refused',
    'connection_reset',
    'forbidden',
    'not_ready',
  ] as const),
};

/** Answers to other requests than a start, and those that this node's own bookkeeping makes impossible. */
function impossible<Code extends ResponderErrorCode>(
  codes: readonly Code[],
): Record<Code, () => WarmpoolError> {
  const answers = codes.map((code) => [
    code,
    () => new WarmpoolError('INTERNAL', `the guest refused a command with ${code}`),
  ]);
  return Object.fromEntries(answers);
}

function aboutField(
  code: 'USER_UNKNOWN' | 'USER_UNAVAILABLE' | 'CWD_INVALID' | 'COMMAND_NOT_FOUND' | 'COMMAND_NOT_EXECUTABLE',
  field: string,
  description: string,
): WarmpoolError {
  return new WarmpoolError(code, description, { violations: [{ field, description }] });
}

/** The message of invalid_payload names the key; anything else than a key of ours is about the command as a whole. */
function fieldNamed(message: string): string {
  return commandFields.find((field) => new RegExp(`\\b${field}\\b`).test(message)) ?? 'argv';
}

const commandFields = ['argv', 'env', 'cwd', 'user', 'stdin', 'timeout_ms', 'tty', 'detach', 'replay'];

function quoted(text = ''): string {
  return JSON.stringify(printable(text));
}

/** Text from a sandbox or a caller, safe and short enough for a message. */
export function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Surrogate}]/gu, '\ufffd');
  return clean.length <= printableCharsMax ? clean : `${clean.slice(0, printableCharsMax)}…`;
}

/** Enough for a path and a reason; gRPC carries messages in headers, which are bounded. */
const printableCharsMax = 200;
