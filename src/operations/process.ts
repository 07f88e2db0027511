import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { encodeExecAttach, encodeExecStart, type TerminalSize } from '../../protocol/exec-messages.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { OperationOptions } from './operation-options.ts';
import { RunningProcess } from './running-process.ts';

export type { TerminalSize } from '../../protocol/exec-messages.ts';

/** Absent keys are left to the responder, which takes the claim's and the template's (socket) or its own (link). */
export interface StartProcess {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly user?: string | undefined;
  /** Absent: true. False: stdin is /dev/null. */
  readonly stdin?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  /** A terminal of this size; all output is then `stdout`. */
  readonly tty?: TerminalSize | undefined;
  /** The process outlives its channel and can be attached to. */
  readonly detach?: boolean | undefined;
  /** With `detach`: bytes of output kept for an attach. */
  readonly replayBytes?: number | undefined;
  readonly windowBytes?: number | undefined;
}

export interface AttachProcess {
  /** `Process.number`. */
  readonly process: number;
  /** The first byte of output wanted; absent: the oldest kept. */
  readonly offset?: number | undefined;
  readonly windowBytes?: number | undefined;
}

export interface ProcessOutput {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

/**
 * Takes output as it comes, instead of `Process.output`. Each byte counts against the window until `Process.release`
 * gives it back, so a slow sink holds one window and nothing more. May be called before `startProcess` has settled.
 */
export interface ProcessSink {
  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
}

export interface ProcessExit {
  /** Exactly one of the two is a number. */
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationUs: number;
}

export interface ProcessOptions extends OperationOptions {
  readonly sink?: ProcessSink | undefined;
}

/** Rejects with a ResponderError (`command_not_found`, …), the signal's reason, or the error of the lost wire. */
export async function startProcess(
  opener: ChannelOpener,
  request: StartProcess,
  options: ProcessOptions = {},
): Promise<Process> {
  const { replayBytes, ...rest } = request;
  const payload = encoded(encodeExecStart(onWire({ ...rest, replay: replayBytes })));
  const { windowBytes } = request;
  const channel = { type: messageTypes.ExecStart.code, payload, windowBytes, signal: options.signal };
  return new RunningProcess(options.sink).open(opener, channel, request.tty !== undefined);
}

/** Rejects with a ResponderError `process_unknown` when there is none of that number any more. */
export async function attachProcess(
  opener: ChannelOpener,
  request: AttachProcess,
  options: ProcessOptions = {},
): Promise<Process> {
  const payload = encodeExecAttach(onWire(request));
  const { windowBytes } = request;
  const channel = { type: messageTypes.ExecAttach.code, payload, windowBytes, signal: options.signal };
  return new RunningProcess(options.sink).open(opener, channel);
}

/** One process over one channel. */
export interface Process {
  readonly pid: number;
  /** Of this sandbox, for `attachProcess`. */
  readonly number: number;
  readonly tty: boolean;
  /** After an attach, where the guest says it: the bytes of input that it has taken over all channels of the process. */
  readonly inputTakenBytes: number | undefined;
  /** Number of the first byte of output of this channel: 0 after a start. */
  readonly startOffset: number;
  /** Number of the next byte of output that the consumer has not been handed: what to attach with after a loss. */
  readonly offset: number;
  /**
   * Output in order; ends after the last of it, throws what `exited` rejects with. Read it once. Credit is given back when
   * the next piece is asked for. Leaving the loop early drops the rest, and the process never waits for a reader again.
   * Without a sink, and without reading this, the process stops once it has filled its window.
   */
  readonly output: AsyncIterable<ProcessOutput>;
  /** Settles when the ExecExit has come, which may be before all output was read. Never an unhandled rejection. */
  readonly exited: Promise<ProcessExit>;
  /** Gives back credit for bytes that the sink was handed. */
  release(byteCount: number): void;
  /** Drops what has not been read and all that follows; `exited` still settles. */
  discardOutput(): void;
  /**
   * Settles when the bytes are on their way, within the credit. They are not copied: do not change them afterwards. Fine
   * after the exit: does nothing.
   */
  writeInput(bytes: Uint8Array): Promise<void>;
  /** After what was written. On a terminal: writes the end-of-file character. */
  endInput(): void;
  /** A Linux signal number, 1 … 64. */
  signal(signal: number): void;
  resize(size: TerminalSize): void;
  /**
   * Abandons the channel: a detached process goes on, any other is hung up. `output` ends, `exited` rejects with
   * ChannelClosedError. Settles when the number is free again.
   */
  close(): Promise<void>;
}
