import { encodeExecStart } from '../../protocol/exec-messages.ts';
import { encodeMap, type Fields } from '../../protocol/map-message.ts';
import type { SessionGrant } from '../../src/allocator/api.ts';
import { ApiKeys, type KeyEntry } from '../../src/auth/api-keys.ts';
import { newDataKey } from '../../src/auth/data-key.ts';
import { type DataScope, DataTokens, dataScopes } from '../../src/auth/data-token.ts';
import { DataPlane } from '../../src/data-plane/data-plane.ts';
import { type DataPlaneObserver, silentObserver } from '../../src/data-plane/observer.ts';
import { type Clock, SystemClock } from '../../src/domain/clock.ts';
import { newClaimId, newSandboxId } from '../../src/domain/ids.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { FakeSession } from '../support/fake-session.ts';
import { SilentLog } from '../support/silent-log.ts';
import { RawClient, type RawOptions } from './raw-client.ts';
import { ScriptedOpener } from './scripted-opener.ts';

export interface SessionFixtureOptions {
  readonly keys?: readonly KeyEntry[];
  readonly clock?: Clock;
  readonly observer?: DataPlaneObserver;
  /** In place of a session; may throw. */
  readonly openSession?: (grant: SessionGrant, sandboxId: string) => FakeSession;
}

/** The data plane over one sandbox whose guest a test plays. */
export class SessionFixture implements AsyncDisposable {
  readonly guest = new ScriptedOpener();
  readonly sessions: FakeSession[] = [];
  readonly grants: SessionGrant[] = [];
  readonly log = new SilentLog();
  readonly record = runningRecord();
  readonly tokens: DataTokens;
  readonly url: string;
  readonly plane: DataPlane;

  static async start(options: SessionFixtureOptions = {}): Promise<SessionFixture> {
    const clock = options.clock ?? new SystemClock();
    const tokens = new DataTokens({ clock }, [newDataKey()]);
    const log = new SilentLog();
    let fixture: SessionFixture | null = null;
    const plane = await DataPlane.start(
      {
        allocator: { openSession: async (grant, id) => fixture?.open(options, grant, id) ?? neverOpen() },
        keys: new ApiKeys(options.keys ?? []),
        tokens,
        clock,
        observer: options.observer ?? silentObserver,
        log,
      },
      { listen: { host: '127.0.0.1', port: 0 }, allowedOrigins: [] },
    );
    fixture = new SessionFixture(plane, tokens);
    return fixture;
  }

  private constructor(plane: DataPlane, tokens: DataTokens) {
    this.plane = plane;
    this.tokens = tokens;
    this.url = `ws://127.0.0.1:${plane.address.port}/warmpool/v1/sandboxes/${this.record.id}/connect`;
  }

  open(options: SessionFixtureOptions, grant: SessionGrant, sandboxId: string): FakeSession {
    this.grants.push(grant);
    const session = options.openSession?.(grant, sandboxId) ?? new FakeSession(this.record, this.guest);
    this.sessions.push(session);
    return session;
  }

  tokenFor(scopes: readonly DataScope[] = dataScopes, tenant = 'alice'): string {
    return this.tokens.issue({ tenant, claimId: this.record.claim?.claimId ?? '', scopes: new Set(scopes) })
      .token;
  }

  /** A client that has taken its Ready. */
  async connect(options: RawOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(this.url, { token: this.tokenFor(), ...options });
    await client.ready();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane[Symbol.asyncDispose]();
  }
}

function runningRecord(): SandboxRecord {
  return {
    id: newSandboxId(3),
    pool: 'base',
    specVersion: 'v1',
    state: 'running',
    launch: 'warm',
    nodeId: 'node-a',
    incarnation: 2,
    createdAtMs: 1,
    claim: {
      tenant: 'alice',
      claimId: newClaimId(),
      claimedAtMs: 2,
      customisation: { env: {}, metadata: {} },
    },
  };
}

function neverOpen(): never {
  throw new Error('a client came before the fixture was there');
}

export function execStart(argv: readonly string[], more: object = {}): Uint8Array {
  const payload = encodeExecStart({ argv, ...more });
  if ('error' in payload) throw new Error(payload.error);
  return payload.value;
}

export function map(fields: Fields): Uint8Array {
  const payload = encodeMap(fields);
  if ('error' in payload) throw new Error(payload.error);
  return payload.value;
}
