import type { CreateRequest, ExecRequest, ListRequest, SpawnRequest } from '../allocator/api.ts';
import type { OnMiss } from '../domain/pool-spec.ts';
import { type SandboxState, sandboxStates } from '../domain/sandbox.ts';
import type { TerminalSize } from '../operations/process.ts';
import type { SizeChange } from '../store/pool-store.ts';
import type { CreateSandboxRequest__Output } from './gen/warmpool/v1/CreateSandboxRequest.ts';
import type { ExecAttach__Output } from './gen/warmpool/v1/ExecAttach.ts';
import type { ExecRequest__Output } from './gen/warmpool/v1/ExecRequest.ts';
import type { ExecStart__Output } from './gen/warmpool/v1/ExecStart.ts';
import type { ListSandboxesRequest__Output } from './gen/warmpool/v1/ListSandboxesRequest.ts';
import type { OnMiss__Output } from './gen/warmpool/v1/OnMiss.ts';
import type { SandboxState__Output } from './gen/warmpool/v1/SandboxState.ts';
import type { ScalePoolRequest__Output } from './gen/warmpool/v1/ScalePoolRequest.ts';
import type { TerminalSize__Output as WireTerminalSize__Output } from './gen/warmpool/v1/TerminalSize.ts';
import { RequestFields } from './request-fields.ts';
import { wireState } from './wire/enum-names.ts';

/**
 * From the wire's shapes to those of the use cases. Only what is about the wire is checked here (durations, unknown enum
 * values, empty strings that mean "absent"); what a value may be is the allocator's to say, the same for every edge.
 */
export function parseCreateRequest(wire: CreateSandboxRequest__Output): CreateRequest {
  const fields = new RequestFields();
  const timeoutMs = fields.duration('timeout', wire.timeout);
  const waitMs = fields.duration('wait', wire.wait);
  const onMiss = parseOnMiss(fields, wire.onMiss);
  fields.done();
  return {
    template: wire.template,
    env: wire.env,
    metadata: wire.metadata,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(waitMs !== undefined && { waitMs }),
    ...(onMiss !== undefined && { onMiss }),
    ...(wire.user !== '' && { user: wire.user }),
    ...(wire.cwd !== '' && { cwd: wire.cwd }),
    ...(wire.requestId !== '' && { requestId: wire.requestId }),
  };
}

export function parseListRequest(wire: ListSandboxesRequest__Output): ListRequest {
  const fields = new RequestFields();
  const states = wire.states.map((state, index) => parseState(fields, `states[${index}]`, state));
  fields.done();
  return {
    ...(wire.template !== '' && { template: wire.template }),
    ...(states.length > 0 && { states }),
    ...(Object.keys(wire.metadata).length > 0 && { metadata: wire.metadata }),
    ...(wire.pageSize !== 0 && { pageSize: wire.pageSize }),
    ...(wire.pageToken !== '' && { pageToken: wire.pageToken }),
  };
}

export function parseExecRequest(wire: ExecRequest__Output): ExecRequest {
  const fields = new RequestFields();
  const command = parseCommand(fields, wire);
  if (wire.outputLimitBytes < 0) fields.violation('output_limit_bytes', 'must not be negative');
  fields.done();
  return {
    ...command,
    stdin: wire.stdin,
    ...(wire.outputLimitBytes > 0 && { outputLimitBytes: wire.outputLimitBytes }),
  };
}

export function parseExecStart(wire: ExecStart__Output): SpawnRequest {
  const fields = new RequestFields();
  const command = parseCommand(fields, wire);
  fields.done();
  return { ...command, stdin: !wire.noStdin };
}

/** What only a stream can have: a terminal, and a process that outlives it. */
export interface SessionStart extends SpawnRequest {
  readonly tty?: TerminalSize;
  readonly detach: boolean;
  readonly replayBytes?: number;
}

export function parseSessionStart(wire: ExecStart__Output): SessionStart {
  const fields = new RequestFields();
  const command = parseCommand(fields, wire);
  const { tty, noStdin, detach, replayBytes } = wire;
  if (tty && noStdin) fields.violation('no_stdin', 'does not go with tty: a terminal has input');
  if (replayBytes !== undefined && !detach) fields.violation('replay_bytes', 'goes with detach only');
  if (replayBytes !== undefined && replayBytes > replayBytesMax) {
    fields.violation('replay_bytes', `must be at most ${replayBytesMax}`);
  }
  if (command.argv.length === 0) fields.violation('argv', 'must name a command');
  const size = tty && readTerminalSize(fields, 'tty', tty);
  fields.done();
  return {
    ...command,
    stdin: !noStdin,
    detach,
    ...(size && { tty: size }),
    ...(replayBytes !== undefined && { replayBytes }),
  };
}

export interface SessionAttach {
  readonly sandboxId: string;
  readonly process: number;
  readonly offset?: number;
}

export function parseAttach(wire: ExecAttach__Output): SessionAttach {
  const fields = new RequestFields();
  const sandboxId = fields.required('sandbox_id', wire.sandboxId);
  const { process, offset } = wire;
  if (process === 0) fields.violation('process', 'is required');
  if (offset !== undefined && !(offset >= 0 && Number.isSafeInteger(offset))) {
    fields.violation('offset', 'must not be negative');
  }
  fields.done();
  return { sandboxId, process, ...(offset !== undefined && { offset }) };
}

export function parseTerminalSize(wire: WireTerminalSize__Output): TerminalSize {
  const fields = new RequestFields();
  const size = readTerminalSize(fields, 'resize', wire);
  fields.done();
  return size;
}

function readTerminalSize(
  fields: RequestFields,
  field: string,
  { cols, rows }: WireTerminalSize__Output,
): TerminalSize {
  for (const [side, value] of Object.entries({ cols, rows })) {
    if (value < 1 || value > terminalSideMax) {
      fields.violation(`${field}.${side}`, `must be 1 to ${terminalSideMax}`);
    }
  }
  return { cols, rows };
}

const terminalSideMax = 10_000;
const replayBytesMax = 1_048_576;

export function parseSizeChange(wire: ScalePoolRequest__Output): SizeChange {
  const fields = new RequestFields();
  const { minReady, maxReady, maxTotal } = wire;
  for (const [field, count] of Object.entries({
    min_ready: minReady,
    max_ready: maxReady,
    max_total: maxTotal,
  })) {
    if (count !== undefined && count < 0) fields.violation(field, 'must not be negative');
  }
  if (minReady === undefined && maxReady === undefined && maxTotal === undefined) {
    fields.violation('min_ready', 'at least one of min_ready, max_ready and max_total must be set');
  }
  fields.done();
  return {
    ...(minReady !== undefined && { minReady }),
    ...(maxReady !== undefined && { maxReady }),
    ...(maxTotal !== undefined && { maxTotal }),
  };
}

function parseCommand(
  fields: RequestFields,
  wire: ExecRequest__Output | ExecStart__Output,
): Omit<SpawnRequest, 'stdin'> {
  const timeoutMs = fields.duration('timeout', wire.timeout);
  return {
    sandboxId: fields.required('sandbox_id', wire.sandboxId),
    argv: wire.argv,
    env: wire.env,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(wire.cwd !== '' && { cwd: wire.cwd }),
    ...(wire.user !== '' && { user: wire.user }),
  };
}

/** A number instead of a name is a value that this version does not know. */
function parseOnMiss(fields: RequestFields, wire: OnMiss__Output | number): OnMiss | undefined {
  switch (wire) {
    case 'ON_MISS_UNSPECIFIED':
      return undefined;
    case 'ON_MISS_COLD':
      return 'cold';
    case 'ON_MISS_WAIT':
      return 'wait';
    case 'ON_MISS_FAIL':
      return 'fail';
    default:
      fields.violation('on_miss', `${wire} is not a known value`);
      return undefined;
  }
}

const stateOfWire: ReadonlyMap<string | number, SandboxState> = new Map(
  sandboxStates.map((state) => [wireState[state], state]),
);

function parseState(fields: RequestFields, field: string, wire: SandboxState__Output | number): SandboxState {
  const state = stateOfWire.get(wire);
  if (state === undefined) fields.violation(field, `${wire} is not a state to filter by`);
  return state ?? 'running';
}
