import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isMainThread } from 'node:worker_threads';
import { assertThat, WarmpoolError } from '../../domain/errors.ts';
import { guestInside } from './bwrap-arguments.ts';
import { parentOf } from './host-processes.ts';
import { StdioTransport } from './stdio-transport.ts';

export interface BwrapStart {
  readonly bwrapPath: string;
  readonly sandboxId: string;
  /** The file with the template's options, separated by NUL. */
  readonly argumentsPath: string;
  /** The host uid and gid to run under; null: this process's own. */
  readonly hostUid: number | null;
}

/**
 * One running bubblewrap: the outer process, which watches, and inside it process 1 of the sandbox. Its states:
 *
 *   setting up ──▶ held (everything is mounted, it waits for one byte) ──release──▶ running ──▶ ended
 *
 * Nothing of the sandbox runs before `release`, so whatever must hold from its first instruction is done by then. Should
 * this process die, the kernel kills the outer one, and with it the inner one (B5): that follows the spawning thread, so
 * spawning is for the main thread only. There is one gap: an outer process killed before it let its child set up leaves
 * that child waiting for ever. `kill` therefore ends the inner one first, and what a crash leaves is found by its uid.
 */
export class BwrapProcess {
  readonly transport: Duplex;
  /** Settles when the outer process has ended: with the reason, or null when it ended well. Never rejects. */
  readonly ended: Promise<string | null>;
  readonly #child: ChildProcess;
  readonly #gate: Socket;
  readonly #gateEnded: Promise<boolean>;
  readonly #info: Promise<string>;
  readonly #log = new LogTail();
  #innerPid: number | null = null;

  static start(start: BwrapStart): BwrapProcess {
    assertThat(
      isMainThread,
      'bubblewrap is spawned by the main thread: it dies with the thread that spawned it',
    );
    const argumentsFd = openSync(start.argumentsPath, 'r');
    try {
      return new BwrapProcess(start, argumentsFd);
    } finally {
      closeSync(argumentsFd);
    }
  }

  private constructor(start: BwrapStart, argumentsFd: number) {
    const { hostUid } = start;
    this.#child = spawn(
      start.bwrapPath,
      [...descriptorWords, '--hostname', start.sandboxId, '--', guestInside, '--link=once'],
      {
        argv0: processName(start.sandboxId),
        // A session of its own: the terminal's Ctrl-C is for the service, which ends its sandboxes in order.
        detached: true,
        env: {},
        cwd: '/',
        stdio: ['pipe', 'pipe', 'pipe', argumentsFd, 'pipe', 'pipe'],
        ...(hostUid === null ? {} : { uid: hostUid, gid: hostUid }),
      },
    );
    this.#child.once('error', (error) => this.#log.add(Buffer.from(error.message)));
    // There are no pipes at all when this process is out of descriptors.
    const [stdin, stdout, stderr, , info, gate]: readonly unknown[] = this.#child.stdio ?? [];
    if (!isSocket(stdin) || !isSocket(stdout) || !isSocket(stderr) || !isSocket(info) || !isSocket(gate))
      throw new WarmpoolError('BOOT_FAILED', 'bubblewrap: no pipes to it could be made');
    stderr.on('data', (chunk: Buffer) => this.#log.add(chunk));
    stderr.on('error', () => undefined);
    // The last words may arrive after the news of the end.
    const saidAll = new Promise<void>((resolve) => stderr.once('close', () => resolve()));
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
      this.#child.once('exit', (code, signal) => {
        // The last words may arrive after the news of the end; an orphan of the gap above would never end them.
        const timer = setTimeout(() => stderr.destroy(), lastWordsMs);
        void saidAll.then(() => {
          clearTimeout(timer);
          resolve(this.#reason(code, signal));
        });
      });
    });
    this.#gate = gate;
    // Closed with our byte unread is an error of the connection; closed after reading it is its plain end.
    this.#gateEnded = new Promise((resolve) => {
      gate.once('end', () => resolve(true));
      gate.once('error', () => resolve(false));
      gate.once('close', () => resolve(false));
    });
    gate.resume();
    this.#info = readAll(info);
    this.transport = new StdioTransport({ stdin, stdout }, this.ended);
  }

  /** undefined when it could not be started. */
  get outerPid(): number | undefined {
    return this.#child.pid;
  }

  /** Process 1 of the sandbox, by its number on the host. Throws BOOT_FAILED when there will be none. */
  async innerPid(): Promise<number> {
    const pid = /"child-pid":\s*(\d+)/.exec(await this.#info)?.[1];
    if (pid === undefined) throw await this.failure();
    this.#innerPid = Number(pid);
    return this.#innerPid;
  }

  /** Lets the sandbox run; settles when it is set up and about to. Throws BOOT_FAILED when the set-up fails. */
  async release(): Promise<void> {
    const taken = new Promise<boolean>((resolve) => {
      this.#gate.write('1', (error) => resolve(error == null));
    });
    const isReleased = (await taken) && (await this.#gateEnded);
    this.#gate.destroy();
    if (!isReleased) throw await this.failure();
  }

  /** Kills both processes; settles when the outer one has ended, which it does after the inner one. */
  async kill(): Promise<void> {
    const { pid: outerPid } = this.#child;
    const inner = this.#innerPid;
    if (outerPid !== undefined && !this.#hasEnded()) {
      // The number is only known to be its own while its parent is the outer process.
      if (inner !== null && (await parentOf(inner)) === outerPid) killQuietly(inner);
      this.#child.kill('SIGKILL');
    }
    await this.ended;
    this.transport.destroy();
    this.#gate.destroy();
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #reason(code: number | null, signal: NodeJS.Signals | null): string | null {
    const said = this.#log.text();
    const tail = said === '' ? '' : `: ${said}`;
    if (signal !== null) return `the sandbox was ended by ${signal}${tail}`;
    if (code !== 0) return `the sandbox ended with code ${code}${tail}`;
    return null;
  }

  /** Why there is no sandbox, once it is known that there is none. */
  async failure(): Promise<WarmpoolError> {
    return new WarmpoolError(
      'BOOT_FAILED',
      `bubblewrap: ${(await this.ended) ?? 'the sandbox ended at once'}`,
    );
  }
}

/** What process lists show instead of the program's path, so that an administrator sees whose it is. */
export function processName(sandboxId: string): string {
  return `warmpool-${sandboxId}`;
}

/** The last of what bubblewrap and the guest wrote to stderr. */
class LogTail {
  #bytes: Buffer = Buffer.alloc(0);

  add(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]).subarray(-logTailBytesMax);
  }

  text(): string {
    return this.#bytes
      .toString('utf8')
      .replace(/\p{C}+/gu, ' ')
      .trim();
  }
}

/** To the end of file, which comes early when bubblewrap fails early. */
function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, infoCharactersMax);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(text));
    socket.once('end', () => socket.destroy());
  });
}

function isSocket(stream: unknown): stream is Socket {
  return stream instanceof Socket;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}

const lastWordsMs = 100;
/** Descriptor 3 is the template's options, 4 tells the inner pid, 5 holds the sandbox back. */
const descriptorWords = ['--args', '3', '--info-fd', '4', '--block-fd', '5'];
/** Enough for bubblewrap's one line and the guest's. */
const logTailBytesMax = 2_048;
const infoCharactersMax = 4_096;
