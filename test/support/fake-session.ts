import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { ExecDefaults, SandboxSession, SessionLease, SessionListener } from '../../src/allocator/api.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';

/** A session over any opener: the claim's user and cwd are `user` and `/home/user`, and what is used is counted. */
export class FakeSession implements SandboxSession {
  readonly record: SandboxRecord;
  readonly guest: ChannelOpener;
  uses = 0;
  closed = false;
  readonly listeners: SessionListener[] = [];

  constructor(record: SandboxRecord, guest: ChannelOpener) {
    this.record = record;
    this.guest = guest;
  }

  completeExec(request: ExecDefaults): Required<ExecDefaults> {
    return { env: { FROM: 'claim', ...request.env }, ...this.completeFiles(request) };
  }

  completeFiles(request: Omit<ExecDefaults, 'env'>): Required<Omit<ExecDefaults, 'env'>> {
    return { user: request.user ?? 'user', cwd: request.cwd ?? '/home/user' };
  }

  lease(): SessionLease {
    return { remainingMs: 300_000, ttlMs: 300_000, endOfLifeMs: 86_400_000 };
  }

  async keepAlive(_ttlMs: number | null): Promise<SessionLease> {
    return this.lease();
  }

  used(): void {
    this.uses += 1;
  }

  watch(listener: SessionListener): void {
    this.listeners.push(listener);
  }

  close(): void {
    this.closed = true;
  }
}
