import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { SystemClock } from '../../src/domain/clock.ts';
import type { GuestCommand, GuestProcess, OutputSink } from '../../src/guest-link/guest.ts';
import { GuestLink, type GuestLinkOptions } from '../../src/guest-link/guest-link.ts';
import { packageRoot } from '../../src/package-root.ts';
import { within } from '../support/within.ts';

/** Why the tests of the real agent cannot run here; false when they can. */
export function guestMissing(): string | false {
  const build = spawnSync(process.execPath, [join(packageRoot(), 'guest/build.mjs')], { encoding: 'utf8' });
  return build.status === 0 ? false : `the guest agent cannot be built here: ${build.stderr.trim()}`;
}

/** The agent as an ordinary child process, its link on pipes. */
export class RealGuest implements AsyncDisposable {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;

  constructor(link: 'once' | 'reattach') {
    const binary = join(packageRoot(), 'guest/build/warmpool-guest');
    this.child = spawn(binary, [`--link=${link}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    // Whoever holds the transport hears of errors there; a pipe whose guest was killed must not end the test run.
    this.child.stdin.on('error', () => {});
    this.child.stdout.on('error', () => {});
  }

  open(options: Partial<GuestLinkOptions> = {}): Promise<GuestLink> {
    return GuestLink.open(new PipeTransport(this.child), {
      clock: new SystemClock(),
      resync: false,
      openTimeoutMs: 60_000,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin.destroy();
    this.child.stdout.destroy();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const hard = setTimeout(() => this.child.kill('SIGKILL'), 20_000);
    await exited;
    clearTimeout(hard);
  }
}

/** Both pipes as one stream. Destroying it lets go of them and leaves them open, as detaching from a container does. */
class PipeTransport extends Duplex {
  readonly #input: Writable;
  readonly #output: Readable;
  readonly #onData = (chunk: Buffer) => {
    if (!this.push(chunk)) this.#output.pause();
  };
  readonly #onEnd = () => this.push(null);

  constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    super({ writableHighWaterMark: 65_536 });
    this.#input = child.stdin;
    this.#output = child.stdout;
    this.#output.on('data', this.#onData);
    this.#output.on('end', this.#onEnd);
  }

  override _read(): void {
    this.#output.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#input.write(chunk, done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#output.pause();
    this.#output.off('data', this.#onData);
    this.#output.off('end', this.#onEnd);
    done(error);
  }
}

export function command(argv: readonly string[], change: Partial<GuestCommand> = {}): GuestCommand {
  return { argv, env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '', stdin: false, timeoutMs: 0, ...change };
}

/** Starts a process and takes all its output at once, as a fast receiver does. */
export async function spawnReading(
  link: GuestLink,
  what: GuestCommand,
  onBytes: OutputSink['onOutput'] = () => {},
): Promise<GuestProcess> {
  let process: GuestProcess | undefined;
  let owed = 0;
  process = await link.spawn(what, {
    onOutput: (stream, bytes) => {
      onBytes(stream, bytes);
      owed += bytes.length;
      if (process === undefined) return;
      process.release(owed);
      owed = 0;
    },
  });
  if (owed > 0) process.release(owed);
  owed = 0;
  return process;
}

/** Runs a command to its end. */
export async function run(link: GuestLink, what: GuestCommand) {
  const output = { stdout: '', stderr: '' };
  const process = await spawnReading(link, what, (stream, bytes) => {
    output[stream] += bytes.toString();
  });
  const exit = await within(
    process.exited,
    () => `the end of ${what.argv.join(' ')}; ${JSON.stringify(output)}`,
  );
  return { ...exit, ...output };
}
