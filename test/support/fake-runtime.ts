import { Duplex } from 'node:stream';
import type { RequesterChannel } from '../../protocol/channel-opener.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import type { TemplateSpec } from '../../src/domain/pool-spec.ts';
import type { GuestCommand, GuestProcess, OutputSink, ProcessExit } from '../../src/guest-link/guest.ts';
import type { LinkedGuest } from '../../src/node/boot.ts';
import type {
  BootedSandbox,
  BootRequest,
  HostReport,
  RuntimeObject,
  SandboxRuntime,
} from '../../src/runtime/sandbox-runtime.ts';

interface FakeObject {
  readonly storeId: string | null;
  running: boolean;
  readonly leftOver?: boolean;
  readonly madeAtMs: number;
}

/**
 * A runtime in memory, to inject faults a real one cannot be asked for: boots that hang or fail, objects that vanish,
 * links that drop at a chosen moment. Its guests answer a few commands: `true`, `false`, `env`, `cat`, `sleep`.
 */
export class FakeRuntime implements SandboxRuntime {
  readonly name = 'docker';
  readonly survivesNode: boolean;
  readonly objects = new Map<string, FakeObject>();
  readonly guests = new Map<string, FakeGuest>();
  boots = 0;
  /** Awaited in each boot: reject to fail it, stay pending to hang it. */
  onBoot: (request: BootRequest) => Promise<void> = async () => {};
  onList: () => Promise<void> = async () => {};

  readonly #nowMs: () => number;

  constructor(options: { survivesNode?: boolean; nowMs?: () => number } = {}) {
    this.survivesNode = options.survivesNode ?? false;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  async inspectHost(): Promise<HostReport> {
    return { usable: true, versions: {}, warnings: [] };
  }

  async prepare(_template: TemplateSpec): Promise<void> {}

  async boot(request: BootRequest, signal: AbortSignal): Promise<BootedSandbox> {
    this.boots += 1;
    this.objects.set(request.sandboxId, {
      storeId: request.storeId,
      running: true,
      madeAtMs: this.#nowMs(),
    });
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    try {
      await Promise.race([this.onBoot(request), aborted]);
    } catch (error) {
      this.objects.delete(request.sandboxId);
      throw error;
    }
    return this.#link(request.sandboxId);
  }

  async adopt(sandboxId: string): Promise<BootedSandbox> {
    if (!this.objects.get(sandboxId)?.running)
      throw new WarmpoolError('GUEST_UNREACHABLE', 'nothing runs there');
    return this.#link(sandboxId);
  }

  async list(): Promise<readonly RuntimeObject[]> {
    await this.onList();
    return [...this.objects].map(([sandboxId, object]) => ({
      sandboxId,
      storeId: object.storeId,
      running: object.running,
      leftOver: object.leftOver ?? false,
      ageMs: this.#nowMs() - object.madeAtMs,
    }));
  }

  async destroy(sandboxId: string): Promise<void> {
    this.objects.delete(sandboxId);
    this.guests.get(sandboxId)?.cut('destroyed');
    this.guests.delete(sandboxId);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Ends a sandbox behind everybody's back. */
  kill(sandboxId: string): void {
    const object = this.objects.get(sandboxId);
    if (object) object.running = false;
    this.guests.get(sandboxId)?.cut('the guest died');
  }

  /** For the node's `openGuest`: the transport carries only the name. */
  readonly openGuest = async (booted: BootedSandbox): Promise<LinkedGuest> => {
    const guest =
      booted.transport instanceof NamedTransport ? this.guests.get(booted.transport.sandboxId) : null;
    if (!guest) throw new WarmpoolError('GUEST_UNREACHABLE', 'no such guest');
    return guest;
  };

  #link(sandboxId: string): BootedSandbox {
    this.guests.set(sandboxId, new FakeGuest());
    return { transport: new NamedTransport(sandboxId), resync: false };
  }
}

class NamedTransport extends Duplex {
  readonly sandboxId: string;

  constructor(sandboxId: string) {
    super();
    this.sandboxId = sandboxId;
  }
}

export class FakeGuest implements LinkedGuest {
  readonly commands: GuestCommand[] = [];
  readonly closed: Promise<string>;
  cut: (why: string) => void = () => {};

  constructor() {
    this.closed = new Promise((resolve) => {
      this.cut = resolve;
    });
  }

  close(): void {
    this.cut('closed');
  }

  async ping(): Promise<void> {}

  open(): RequesterChannel {
    throw new WarmpoolError('GUEST_UNREACHABLE', 'this guest has processes only');
  }

  async request(): Promise<Uint8Array> {
    throw new WarmpoolError('GUEST_UNREACHABLE', 'this guest has processes only');
  }

  async spawn(command: GuestCommand, output: OutputSink): Promise<GuestProcess> {
    this.commands.push(command);
    const [name] = command.argv;
    if (name === 'missing') {
      throw new WarmpoolError('COMMAND_NOT_FOUND', 'no such command', {
        violations: [{ field: 'argv[0]', description: 'was not found' }],
      });
    }
    return new FakeProcess(command, output, this.closed);
  }
}

class FakeProcess implements GuestProcess {
  readonly pid = 42;
  readonly process = 1;
  readonly exited: Promise<ProcessExit>;
  readonly #output: OutputSink;
  readonly #isCat: boolean;
  #end: (exit: ProcessExit) => void = () => {};

  constructor(command: GuestCommand, output: OutputSink, linkClosed: Promise<string>) {
    this.#output = output;
    const [name] = command.argv;
    this.#isCat = name === 'cat';
    this.exited = new Promise((resolve, reject) => {
      this.#end = resolve;
      linkClosed.then((why) => reject(new WarmpoolError('GUEST_UNREACHABLE', why)));
    });
    this.exited.catch(() => {});
    if (name === 'env') {
      const lines = Object.entries(command.env).map(([key, value]) => `${key}=${value}\n`);
      output.onOutput('stdout', Buffer.from(lines.join('')));
    }
    if (name === 'true' || name === 'env') this.#exit(0, null);
    if (name === 'false') this.#exit(1, null);
  }

  release(): void {}

  async writeStdin(bytes: Uint8Array): Promise<void> {
    if (this.#isCat) this.#output.onOutput('stdout', Buffer.from(bytes));
  }

  endStdin(): void {
    if (this.#isCat) this.#exit(0, null);
  }

  resize(): void {}

  signal(signalNumber: number): void {
    this.#exit(null, signalNumber);
  }

  #exit(exitCode: number | null, signal: number | null): void {
    this.#end({ exitCode, signal, timedOut: false, durationUs: 1_000 });
  }
}
