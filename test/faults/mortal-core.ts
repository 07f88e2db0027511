import type { TemplateSpec } from '../../src/domain/pool-spec.ts';
import { type FailpointName, failpoint, onFailpoint } from '../../src/failpoints.ts';
import type { BootedSandbox, BootRequest } from '../../src/runtime/sandbox-runtime.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';

/** Stands for Redis: its data outlives the process. */
export class LastingStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
}

/**
 * The life of a process that is played inside of this one. Dead, it reaches nothing outside any more: whatever it asks of
 * a store or a runtime is never answered, so that no clean-up of its own makes up for its death.
 */
export class Life {
  #ended: () => void = () => {};
  #dead = false;
  readonly ended = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });

  get dead(): boolean {
    return this.#dead;
  }

  /** Dies when the place is reached for the nth time. One life at a time may be armed. */
  dieAt(name: FailpointName, nth: number): void {
    let left = nth;
    onFailpoint((reached) => {
      if (reached !== name) return;
      left -= 1;
      if (left === 0) this.end();
    });
  }

  /** Throws, so that nothing behind the place is done. */
  end(): never {
    this.#dead = true;
    onFailpoint(null);
    this.#ended();
    throw new Error('the process has died here');
  }

  /** The store as this process has it. */
  over(store: PoolStore): PoolStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => (this.#dead ? never() : Reflect.apply(value, target, args));
      },
    });
  }
}

/** The runtime as one process has it; what it has made is there for the next one. */
export class MortalRuntime extends FakeRuntime {
  readonly #life: Life;

  /** `before`: of the process whose place this one takes. */
  constructor(life: Life, options: { survivesNode: boolean; nowMs: () => number }, before?: MortalRuntime) {
    super(options);
    this.#life = life;
    for (const [id, object] of before?.objects ?? [])
      this.objects.set(id, { ...object, running: object.running && options.survivesNode });
    this.onBoot = async () => {
      await this.#step('cgroup');
      await this.#step('spawn');
      await this.#step('mount');
    };
  }

  override async prepare(template: TemplateSpec): Promise<void> {
    await this.#alive();
    return super.prepare(template);
  }

  override async boot(request: BootRequest, signal: AbortSignal): Promise<BootedSandbox> {
    await this.#alive();
    return super.boot(request, signal);
  }

  override async adopt(sandboxId: string): Promise<BootedSandbox> {
    await this.#alive();
    return super.adopt(sandboxId);
  }

  override async list(): ReturnType<FakeRuntime['list']> {
    await this.#alive();
    return super.list();
  }

  override async destroy(sandboxId: string): Promise<void> {
    await this.#alive();
    const object = this.objects.get(sandboxId);
    if (object) object.running = false;
    await this.#step('unmount');
    return super.destroy(sandboxId);
  }

  async #step(name: FailpointName): Promise<void> {
    try {
      failpoint(name);
    } catch {
      await never();
    }
    await this.#alive();
  }

  async #alive(): Promise<void> {
    if (this.#life.dead) await never();
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
