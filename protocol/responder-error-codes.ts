/** The closed set of protocol/README.md section 9; an Error with another code is no Error of this version. */
export const responderErrorCodes = [
  'unknown_message',
  'invalid_payload',
  'channel_in_use',
  'credit_exceeded',
  'limit_exceeded',
  'user_unknown',
  'user_unavailable',
  'cwd_invalid',
  'command_not_found',
  'command_not_executable',
  'spawn_failed',
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
] as const;

export type ResponderErrorCode = (typeof responderErrorCodes)[number];

const known: ReadonlySet<string> = new Set(responderErrorCodes);

export function isResponderErrorCode(code: string): code is ResponderErrorCode {
  return known.has(code);
}
