import type { Checker } from './checker.ts';
import type { Host } from './host.ts';
import type { ServiceProcess } from './service-process.ts';
import type { StoreServer } from './store-server.ts';
import type { Network } from './store-wire.ts';
import type { World } from './world.ts';

/**
 * The faults of a run: calm times and storms in turn, and in a storm one fault after the other, many at the same time. In
 * a calm, everything works and answers soon: that is when what must happen within a time is judged.
 */
export class Weather implements Network {
  readonly #deps: WeatherDeps;
  #isStorm = false;
  #lossShare = 0;
  #slowShare = 0;
  #isOver = false;

  constructor(deps: WeatherDeps) {
    this.#deps = deps;
  }

  delayMs(): number {
    const { chance } = this.#deps.world;
    return chance.is(this.#slowShare) ? chance.between(5, 400) : chance.between(0.1, 1);
  }

  loses(): boolean {
    return this.#deps.world.chance.is(this.#lossShare);
  }

  /** Slow or failing boots come in storms; even in a calm no two take the same time. */
  nextBoot(): { readonly tookMs: number; readonly fails: boolean } {
    const { chance } = this.#deps.world;
    const tookMs = chance.logNormal(150, 0.5);
    if (!this.#isStorm) return { tookMs, fails: false };
    return { tookMs: chance.is(0.05) ? tookMs * 100 : tookMs, fails: chance.is(0.1) };
  }

  /** Until it is told that it is over; then everything works again. */
  async run(): Promise<void> {
    const { world, checker } = this.#deps;
    const { chance } = world;
    while (!this.#isOver) {
      await this.#pass(chance.between(15_000, 45_000));
      this.#isStorm = true;
      this.#lossShare = chance.pick([0, 0.002, 0.01]);
      this.#slowShare = chance.pick([0, 0.05, 0.2]);
      const endMs = world.nowMs + chance.between(10_000, 40_000);
      while (world.nowMs < endMs && !this.#isOver) {
        checker.faultAtMs = world.nowMs;
        this.#strike();
        await this.#pass(chance.exponential(2_500));
      }
      this.#isStorm = false;
      this.#lossShare = 0;
      this.#slowShare = 0;
      checker.faultAtMs = world.nowMs;
    }
  }

  end(): void {
    this.#isOver = true;
    this.#isStorm = false;
    this.#lossShare = 0;
    this.#slowShare = 0;
  }

  /** In small steps, so that the end is noticed. */
  async #pass(forMs: number): Promise<void> {
    const { world } = this.#deps;
    const endMs = world.nowMs + forMs;
    while (world.nowMs < endMs && !this.#isOver) await world.wait(Math.min(1_000, endMs - world.nowMs));
  }

  #strike(): void {
    const { world, services, hosts, storeFault } = this.#deps;
    const { chance } = world;
    const service = () => chance.pick(services);
    const host = () => chance.pick(hosts);
    const faults: readonly (() => void)[] = [
      () => this.#crash(service()),
      () => this.#crash(service()),
      () => this.#stall(service()),
      () => void this.#restart(service()),
      () => this.#storeAway(),
      () => this.#onGuest(host(), 'kill'),
      () => this.#onGuest(host(), 'dropLink'),
      () => this.#engineAway(host()),
      ...(storeFault === 'loses' ? [() => void this.#storeLoses(), () => void this.#storeLoses()] : []),
      ...(storeFault === 'jumps' ? [() => this.#clockJumps()] : []),
    ];
    chance.pick(faults)();
  }

  #crash(service: ServiceProcess): void {
    if (!service.life) return;
    service.crash();
    this.#later(this.#deps.world.chance.between(50, 12_000), () => service.start());
  }

  #stall(service: ServiceProcess): void {
    service.stall();
    this.#later(this.#deps.world.chance.between(500, 30_000), () => service.goOn());
  }

  async #restart(service: ServiceProcess): Promise<void> {
    this.#later(20_000, () => service.start());
    await service.stop();
    this.#later(this.#deps.world.chance.between(50, 3_000), () => service.start());
  }

  #storeAway(): void {
    const { world, server } = this.#deps;
    if (server.isAway) return;
    world.trace.line('store', 'is away');
    server.isAway = true;
    this.#later(world.chance.between(200, 12_000), () => {
      world.trace.line('store', 'is back');
      server.isAway = false;
    });
  }

  async #storeLoses(): Promise<void> {
    const { world, server, checker } = this.#deps;
    const { chance } = world;
    if (server.isAway) return;
    const ageMs = chance.pick([500, 1_000, 5_000, 20_000, 60_000, Number.POSITIVE_INFINITY]);
    server.isAway = true;
    await server.restart(ageMs);
    checker.storeLost(`lost the last ${ageMs / 1_000} s`);
    for (const { host, life } of this.#deps.services)
      if (host && (!life || life.actor.isStalled)) checker.nodeWasAway(host.name);
    this.#later(chance.between(100, 4_000), () => {
      world.trace.line('store', 'is back, with less');
      server.isAway = false;
    });
  }

  #clockJumps(): void {
    const { world, server, checker } = this.#deps;
    const byMs = world.chance.pick([-120_000, -5_000, 5_000, 20_000, 120_000]);
    server.jump(byMs);
    checker.clockJumped(byMs);
  }

  #onGuest(host: Host, what: 'kill' | 'dropLink'): void {
    const running = [...host.objects].filter(([, { state }]) => state === 'running').map(([id]) => id);
    if (running.length > 0) host[what](this.#deps.world.chance.pick(running));
  }

  #engineAway(host: Host): void {
    if (host.isEngineAway) return;
    this.#deps.world.trace.line(host.name, 'engine away');
    host.isEngineAway = true;
    this.#later(this.#deps.world.chance.between(500, 8_000), () => {
      this.#deps.world.trace.line(host.name, 'engine back');
      host.isEngineAway = false;
    });
  }

  /** The end of a fault, which is one as long as it lasts. */
  #later(delayMs: number, undo: () => void): void {
    const { world, checker } = this.#deps;
    world.after(delayMs, () => {
      checker.faultAtMs = world.nowMs;
      undo();
    });
  }
}

/** What the store itself may do: come back with less than it had, or have a clock that jumps. */
export const storeFaults = ['none', 'loses', 'jumps'] as const;
export type StoreFault = (typeof storeFaults)[number];

export interface WeatherDeps {
  readonly world: World;
  readonly checker: Checker;
  readonly server: StoreServer;
  readonly services: readonly ServiceProcess[];
  readonly hosts: readonly Host[];
  readonly storeFault: StoreFault;
}
