import assert from 'node:assert/strict';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { parseError } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { describe, type RawClient } from './raw-client.ts';
import { execStart, map } from './session-fixture.ts';

export const echo = execStart(['echo', 'hi']);
export const started = map({ pid: 7, process: 1 });
export const exited = map({ exit_code: 0, timed_out: false, duration_us: 5 });

export function codeOf(frame: Frame): string {
  const error = parseError(frame.payload);
  if (frame.type !== type.Error.code || 'error' in error) assert.fail(`no Error: ${describe(frame)}`);
  return error.value.code;
}

export function fieldsOf(frame: Frame): Readonly<Record<string, unknown>> {
  const fields = decodeControlMap(frame.payload);
  if ('error' in fields) assert.fail(fields.error);
  return fields.value;
}

/** A ping and its answer: what was sent before has been dealt with. */
export async function settled(client: RawClient): Promise<void> {
  client.send(type.Ping.code, 0, 99, Buffer.from('settled'));
  await client.next((frame) => frame.type === type.Pong.code && frame.id === 99);
}
