import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { buildProbe } from '../../guest/build-test.mjs';
import { PartMissing } from '../subject.ts';

/** F2: what starting `/bin/true` and waiting for it costs a static program; measured inside that program. */
export class SpawnFloor implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  static start(): SpawnFloor {
    let program: string;
    try {
      program = buildProbe('spawn-floor');
    } catch (error) {
      throw new PartMissing(error instanceof Error ? error.message : String(error));
    }
    return new SpawnFloor(spawn(program, ['/bin/true', '-'], { stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  private constructor(child: ChildProcess) {
    if (!child.stdout) throw new Error('the spawn floor has no output');
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
  }

  /** One start; milliseconds. */
  async call(): Promise<number> {
    const answered = once(this.#lines, 'line');
    this.#child.stdin?.write('1');
    const [microseconds] = await answered;
    return Number(microseconds) / 1_000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exited;
  }
}
