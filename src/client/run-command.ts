import type { Process, ProcessSink } from '../operations/process.ts';
import { joined } from './byte-streams.ts';
import { translated } from './client-call.ts';
import type { CommandLine, CommandOptions, PersistOptions } from './command.ts';
import type { DataConnection } from './connection.ts';
import type { CommandEnd } from './process-handle.ts';
import { startCommand } from './start-command.ts';

export interface ExecOptions extends CommandOptions, PersistOptions {
  /** Given to the command, then end of file. Absent: its stdin is `/dev/null`. */
  readonly stdin?: string | Uint8Array | undefined;
  /** Of each stream so much is kept, and the rest is read and dropped. Default 1 MiB. */
  readonly outputBytesMax?: number | undefined;
}

export interface CommandResult extends CommandEnd {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderrBytes: Uint8Array;
  /** There was more than `outputBytesMax`. */
  readonly stdoutTruncated: boolean;
  readonly stderrTruncated: boolean;
}

/** Runs a command to its end. An exit code other than 0 is a result, not an error. */
export async function runCommand(
  connection: DataConnection,
  command: CommandLine,
  options: ExecOptions,
): Promise<CommandResult> {
  const { stdin, outputBytesMax = outputBytesMaxDefault } = options;
  const stdout = new BoundedOutput(outputBytesMax);
  const stderr = new BoundedOutput(outputBytesMax);
  let process: Process | undefined;
  let early = 0;
  const sink: ProcessSink = {
    onOutput: (stream, bytes) => {
      (stream === 'stdout' ? stdout : stderr).add(bytes);
      if (process === undefined) early += bytes.length;
      else process.release(bytes.length);
    },
  };
  process = await startCommand(connection, command, options, { stdin: stdin !== undefined, sink });
  if (early > 0) process.release(early);
  if (stdin !== undefined) void feed(process, stdin);
  const { exitCode, signal, timedOut, durationUs } = await translated(process.exited);
  return {
    exitCode,
    signal,
    timedOut,
    durationMs: durationUs / 1_000,
    stdout: stdout.text,
    stderr: stderr.text,
    stdoutBytes: stdout.bytes,
    stderrBytes: stderr.bytes,
    stdoutTruncated: stdout.isTruncated,
    stderrTruncated: stderr.isTruncated,
  };
}

const outputBytesMaxDefault = 1_048_576;

/** What goes wrong here goes wrong with the process too, which says it better. */
async function feed(
  process: { writeInput(bytes: Uint8Array): Promise<void>; endInput(): void },
  stdin: string | Uint8Array,
): Promise<void> {
  try {
    await process.writeInput(typeof stdin === 'string' ? new TextEncoder().encode(stdin) : stdin);
    process.endInput();
  } catch {
    return;
  }
}

class BoundedOutput {
  readonly #bytesMax: number;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;
  #isTruncated = false;
  #joined: Uint8Array | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  get bytes(): Uint8Array {
    this.#joined ??= joined(this.#pieces, this.#length);
    return this.#joined;
  }

  /** A character that the bound cuts in two becomes U+FFFD. */
  get text(): string {
    return new TextDecoder().decode(this.bytes);
  }

  add(bytes: Uint8Array): void {
    const room = this.#bytesMax - this.#length;
    if (bytes.length > room) this.#isTruncated = true;
    if (room <= 0) return;
    // A copy: a view would keep the whole message alive that it came in.
    const kept = bytes.slice(0, room);
    this.#pieces.push(kept);
    this.#length += kept.length;
  }
}
