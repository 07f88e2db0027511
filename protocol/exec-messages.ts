import type { FieldReader } from './field-reader.ts';
import {
  argvEntriesMax,
  envEntriesMax,
  listedProcessesMax,
  replayBytesMax,
  signalMax,
  terminalSideMax,
  u32Max,
} from './limits.ts';
import { encodeFixedMap, encodeMap, type Fields, given, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';

/** The messages of protocol/README.md section 5: processes, their terminals, and those that outlive their channel. */

export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

export const terminalSizeDefault: TerminalSize = { cols: 80, rows: 24 };

/** What a start may say on both wires; what is absent is not wanted, or the default. */
export interface ExecChoices {
  /** 0 and absent: none. */
  readonly timeoutMs?: number;
  /** A terminal of its own of this size. */
  readonly tty?: TerminalSize;
  readonly detach?: boolean;
  /** Bytes of output kept for whoever attaches. */
  readonly replay?: number;
  /** Output credit to begin with. */
  readonly window?: number;
}

/** ExecStart on the guest link: nothing is left to the guest. */
export interface ExecStart extends ExecChoices {
  readonly argv: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user: string;
  readonly stdin: boolean;
}

/** ExecStart on the socket: what is absent is the claim's, else the template's. */
export interface ExecRequest extends ExecChoices {
  readonly argv: readonly string[];
  /** Added to the claim's and the template's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: string;
  /** Absent: true. */
  readonly stdin?: boolean;
}

/** The Ack of ExecStart. */
export interface ExecStarted {
  readonly pid: number;
  /** Numbers the processes of one sandbox from 1. */
  readonly process: number;
  /** The output credit, where it is less than was asked for. */
  readonly window?: number;
}

export interface ExecAttach {
  readonly process: number;
  /** Absent: the oldest byte that was kept. */
  readonly offset?: number;
  readonly window?: number;
}

/** The Ack of ExecAttach. */
export interface ExecAttached extends ExecStarted {
  /** Number of the first byte that follows. */
  readonly offset: number;
  /** Bytes of Input that were taken over all channels: whoever sent more may send it again. Absent: not counted. */
  readonly input?: number;
  readonly tty: boolean;
}

export interface ExecExit {
  /** Exactly one of the two is set. */
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationUs: number;
}

/** A process in the answer to ExecList. */
export interface ListedProcess {
  readonly process: number;
  readonly pid: number;
  readonly argv0: string;
  readonly tty: boolean;
  readonly detach: boolean;
  readonly attached: boolean;
  readonly running: boolean;
  /** The offsets of output that can be replayed. */
  readonly start: number;
  readonly end: number;
  readonly exitCode?: number;
  readonly signal?: number;
}

/** Of the link and of the socket. Fails when it does not fit a frame, or holds text that is not valid Unicode. */
export function encodeExecStart(start: ExecRequest): ParseResult<Uint8Array> {
  const { argv, env, cwd, user, stdin, timeoutMs, tty, detach, replay, window } = start;
  return encodeMap({
    argv,
    env,
    cwd,
    user,
    stdin,
    timeout_ms: timeoutMs === 0 ? undefined : timeoutMs,
    ...(tty === undefined ? {} : { tty: true, cols: tty.cols, rows: tty.rows }),
    detach: detach || undefined,
    replay,
    window,
  });
}

export function parseExecStart(payload: Uint8Array): ParseResult<ExecStart> {
  return parseMap(payload, (fields) => {
    const start = {
      argv: fields.texts('argv', 1, argvEntriesMax),
      env: fields.textMap('env', envEntriesMax),
      cwd: fields.text('cwd'),
      user: fields.text('user'),
      stdin: fields.boolean('stdin'),
      ...readChoices(fields),
    };
    checkTerminal(fields, start);
    return start;
  });
}

export function parseExecRequest(payload: Uint8Array): ParseResult<ExecRequest> {
  return parseMap(payload, (fields) => {
    const request = {
      argv: fields.texts('argv', 1, argvEntriesMax),
      ...present({
        env: fields.optional('env', (key) => fields.textMap(key, envEntriesMax)),
        cwd: fields.optional('cwd', fields.text),
        user: fields.optional('user', fields.text),
        stdin: fields.optional('stdin', fields.boolean),
      }),
      ...readChoices(fields),
    };
    checkTerminal(fields, request);
    return request;
  });
}

function readChoices(fields: FieldReader): ExecChoices {
  const cols = fields.optional('cols', (key) => readSide(fields, key));
  const rows = fields.optional('rows', (key) => readSide(fields, key));
  const hasTerminal = fields.optional('tty', fields.boolean) === true;
  return present({
    timeoutMs: fields.optional('timeout_ms', fields.u32) || undefined,
    tty: hasTerminal
      ? { cols: cols ?? terminalSizeDefault.cols, rows: rows ?? terminalSizeDefault.rows }
      : undefined,
    detach: fields.optional('detach', fields.boolean) || undefined,
    replay: fields.optional('replay', (key) => fields.integer(key, 0, replayBytesMax)),
    window: fields.optional('window', fields.window),
  });
}

/** Not asking for stdin on a terminal is asking for half of one. */
function checkTerminal(fields: FieldReader, start: ExecRequest): void {
  if (start.tty !== undefined && start.stdin === false) fields.fail('stdin: a terminal has one');
}

export function encodeExecStarted(started: ExecStarted): Uint8Array {
  return encodeFixedMap(startedFields(started));
}

export function parseExecStarted(payload: Uint8Array): ParseResult<ExecStarted> {
  return parseMap(payload, readStarted);
}

export function encodeExecAttach(attach: ExecAttach): Uint8Array {
  return encodeFixedMap({ process: attach.process, offset: attach.offset, window: attach.window });
}

export function parseExecAttach(payload: Uint8Array): ParseResult<ExecAttach> {
  return parseMap(payload, (fields) => ({
    process: fields.integer('process', 1, u32Max),
    ...present({
      offset: fields.optional('offset', fields.u64),
      window: fields.optional('window', fields.window),
    }),
  }));
}

export function encodeExecAttached(attached: ExecAttached): Uint8Array {
  const { offset, input, tty } = attached;
  return encodeFixedMap({ ...startedFields(attached), offset, input, tty });
}

export function parseExecAttached(payload: Uint8Array): ParseResult<ExecAttached> {
  return parseMap(payload, (fields) => ({
    ...readStarted(fields),
    offset: fields.u64('offset'),
    ...present({ input: fields.optional('input', fields.u64) }),
    tty: fields.boolean('tty'),
  }));
}

export function encodeExecExit(exit: ExecExit): Uint8Array {
  return encodeFixedMap({
    ...(exit.signal === null ? { exit_code: exit.exitCode ?? 0 } : { signal: exit.signal }),
    timed_out: exit.timedOut,
    duration_us: exit.durationUs,
  });
}

export function parseExecExit(payload: Uint8Array): ParseResult<ExecExit> {
  return parseMap(payload, (fields) => {
    if (fields.has('exit_code') === fields.has('signal')) {
      fields.fail('exactly one of exit_code and signal must be there');
    }
    return {
      exitCode: fields.optional('exit_code', (key) => readExitCode(fields, key)) ?? null,
      signal: fields.optional('signal', (key) => readEndSignal(fields, key)) ?? null,
      timedOut: fields.boolean('timed_out'),
      durationUs: fields.u64('duration_us'),
    };
  });
}

/** The answer to ExecList. Fails when the names of the commands do not fit a frame together. */
export function encodeProcessList(processes: readonly ListedProcess[]): ParseResult<Uint8Array> {
  return encodeMap({
    processes: processes.map(({ exitCode, ...rest }) =>
      given({ ...rest, exit_code: exitCode } satisfies Fields),
    ),
  });
}

export function parseProcessList(payload: Uint8Array): ParseResult<readonly ListedProcess[]> {
  return parseMap(payload, (fields) => fields.maps('processes', listedProcessesMax, readListed));
}

function readListed(fields: FieldReader): ListedProcess {
  return {
    process: fields.integer('process', 1, u32Max),
    pid: fields.u32('pid'),
    argv0: fields.text('argv0'),
    tty: fields.boolean('tty'),
    detach: fields.boolean('detach'),
    attached: fields.boolean('attached'),
    running: fields.boolean('running'),
    start: fields.u64('start'),
    end: fields.u64('end'),
    ...present({
      exitCode: fields.optional('exit_code', (key) => readExitCode(fields, key)),
      signal: fields.optional('signal', (key) => readEndSignal(fields, key)),
    }),
  };
}

export function encodeExecSignal(signal: number): Uint8Array {
  return encodeFixedMap({ signal });
}

export function parseExecSignal(payload: Uint8Array): ParseResult<number> {
  return parseMap(payload, (fields) => fields.integer('signal', 1, signalMax));
}

export function encodeExecResize(size: TerminalSize): Uint8Array {
  return encodeFixedMap({ cols: size.cols, rows: size.rows });
}

export function parseExecResize(payload: Uint8Array): ParseResult<TerminalSize> {
  return parseMap(payload, (fields) => ({
    cols: readSide(fields, 'cols'),
    rows: readSide(fields, 'rows'),
  }));
}

function startedFields(started: ExecStarted): Fields {
  return { pid: started.pid, process: started.process, window: started.window };
}

function readStarted(fields: FieldReader): ExecStarted {
  return {
    pid: fields.integer('pid', 1, u32Max),
    process: fields.integer('process', 1, u32Max),
    ...present({ window: fields.optional('window', fields.window) }),
  };
}

function readSide(fields: FieldReader, key: string): number {
  return fields.integer(key, 1, terminalSideMax);
}

function readExitCode(fields: FieldReader, key: string): number {
  return fields.integer(key, 0, 255);
}

function readEndSignal(fields: FieldReader, key: string): number {
  return fields.integer(key, 1, 255);
}
