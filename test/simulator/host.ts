import { Duplex } from 'node:stream';
import { WarmpoolError } from '../../src/domain/errors.ts';
import type { LinkedGuest } from '../../src/node/boot.ts';
import type {
  BootedSandbox,
  BootRequest,
  RuntimeObject,
  SandboxRuntime,
} from '../../src/runtime/sandbox-runtime.ts';
import { FakeGuest } from '../support/fake-runtime.ts';
import type { Actor } from './actor.ts';
import type { World } from './world.ts';

/**
 * One machine with what runs on it: the truth about which sandboxes exist. It outlives the processes of its node; a runtime
 * whose sandboxes survive keeps them when such a process dies, the other one ends them with it, but for what a kill in the
 * middle leaves lying about.
 */
export class Host {
  readonly name: string;
  readonly survivesNode: boolean;
  readonly objects = new Map<string, HostObject>();
  readonly #world: World;
  readonly #options: HostOptions;
  readonly #guestOf = new WeakMap<Duplex, FakeGuest>();
  isEngineAway = false;

  constructor(world: World, name: string, options: HostOptions) {
    this.#world = world;
    this.name = name;
    this.survivesNode = options.survivesNode;
    this.#options = options;
  }

  /** A guest ends by itself, and its link with it. */
  kill(sandboxId: string): void {
    const object = this.objects.get(sandboxId);
    if (!object) return;
    object.state = 'dead';
    this.#options.observer.died(sandboxId, 'its guest died');
    this.#cut(object, 'the guest died');
  }

  /** The link breaks. A guest that survives its node survives that once; after more of it its node gives it up. */
  dropLink(sandboxId: string): void {
    const object = this.objects.get(sandboxId);
    if (!object) return;
    if (this.survivesNode && !object.wasCut) {
      object.wasCut = true;
      this.#cut(object, 'the link broke');
    } else this.kill(sandboxId);
  }

  /** The process that held the links is gone. */
  nodeDied(): void {
    for (const [id, object] of this.objects) {
      object.link = null;
      if (this.survivesNode) {
        if (object.state === 'making' && this.#world.chance.is(0.5)) object.state = 'running';
      } else {
        this.#options.observer.died(id, 'its node died');
        if (object.state === 'making' && this.#world.chance.is(0.3)) {
          object.state = 'dead';
          object.isLeftOver = true;
        } else this.#remove(id);
      }
    }
  }

  port(actor: Actor): SandboxRuntime {
    return {
      name: this.survivesNode ? 'docker' : 'bubblewrap',
      survivesNode: this.survivesNode,
      inspectHost: async () => ({ usable: true, versions: {}, warnings: [] }),
      prepare: async () => {},
      boot: (request, signal) => this.#boot(actor, request, signal),
      adopt: (sandboxId) => actor.awaits(this.#adopt(actor, sandboxId)),
      list: () => actor.awaits(this.#list()),
      destroy: (sandboxId) => actor.awaits(this.#destroy(sandboxId)),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  readonly openGuest = async (booted: BootedSandbox): Promise<LinkedGuest> => {
    const guest = this.#guestOf.get(booted.transport);
    if (!guest) throw new WarmpoolError('GUEST_UNREACHABLE', 'no guest answers');
    return guest;
  };

  #boot(actor: Actor, request: BootRequest, signal: AbortSignal): Promise<BootedSandbox> {
    const { sandboxId, storeId } = request;
    if (this.isEngineAway) return actor.awaits(this.#away());
    const madeAtMs = this.#world.nowMs;
    const object: HostObject = {
      storeId,
      state: 'making',
      madeAtMs,
      link: null,
      wasCut: false,
      isLeftOver: false,
    };
    this.objects.set(sandboxId, object);
    this.#options.observer.made(this.name, sandboxId);
    const { tookMs, fails } = this.#options.nextBoot();
    return new Promise((resolve, reject) => {
      const giveUp = (error: unknown) => {
        // The object of an earlier try of the same boot may be another one by now.
        if (this.objects.get(sandboxId) === object) this.#remove(sandboxId);
        reject(error);
      };
      const cancel = actor.after(tookMs, () => {
        signal.removeEventListener('abort', onAbort);
        if (fails) giveUp(new WarmpoolError('BOOT_FAILED', 'it was made to fail'));
        else if (this.objects.get(sandboxId) !== object)
          reject(new WarmpoolError('BOOT_FAILED', 'it is gone'));
        else {
          object.state = 'running';
          resolve(this.#link(actor, object));
        }
      });
      const onAbort = () => {
        cancel();
        giveUp(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  async #adopt(actor: Actor, sandboxId: string): Promise<BootedSandbox> {
    await this.#answers();
    const object = this.objects.get(sandboxId);
    if (object?.state !== 'running') throw new WarmpoolError('GUEST_UNREACHABLE', 'nothing runs there');
    return this.#link(actor, object);
  }

  async #list(): Promise<readonly RuntimeObject[]> {
    await this.#answers();
    return [...this.objects].map(([sandboxId, { storeId, state, madeAtMs, isLeftOver }]) => ({
      sandboxId,
      storeId,
      running: state === 'running',
      leftOver: isLeftOver,
      ageMs: this.#world.nowMs - madeAtMs,
    }));
  }

  async #destroy(sandboxId: string): Promise<void> {
    await this.#answers();
    const object = this.objects.get(sandboxId);
    if (!object) return;
    this.#options.observer.destroyed(sandboxId);
    this.#remove(sandboxId);
    this.#cut(object, 'destroyed');
  }

  async #answers(): Promise<void> {
    await this.#world.wait(this.#world.chance.between(0.5, 15));
    if (this.isEngineAway) await this.#away();
  }

  async #away(): Promise<never> {
    await this.#world.wait(2);
    throw new WarmpoolError('RUNTIME_UNAVAILABLE', 'the engine does not answer');
  }

  #link(actor: Actor, object: HostObject): BootedSandbox {
    const guest = new FakeGuest();
    object.link = { actor, guest };
    const transport = new Duplex();
    this.#guestOf.set(transport, guest);
    return { transport, resync: false };
  }

  #cut(object: HostObject, why: string): void {
    const { link } = object;
    object.link = null;
    link?.actor.deliver(() => link.guest.cut(why));
  }

  #remove(sandboxId: string): void {
    this.objects.delete(sandboxId);
  }
}

export interface HostObject {
  readonly storeId: string;
  state: 'making' | 'running' | 'dead';
  readonly madeAtMs: number;
  link: { readonly actor: Actor; readonly guest: FakeGuest } | null;
  wasCut: boolean;
  isLeftOver: boolean;
}

export interface HostOptions {
  readonly survivesNode: boolean;
  /** How long the next boot takes, and whether it fails then. */
  readonly nextBoot: () => { readonly tookMs: number; readonly fails: boolean };
  readonly observer: HostObserver;
}

export interface HostObserver {
  made(host: string, sandboxId: string): void;
  /** Ended by a fault, not by the code under test. */
  died(sandboxId: string, why: string): void;
  /** Ended by the code under test. */
  destroyed(sandboxId: string): void;
}
