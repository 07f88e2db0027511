import { headerBytes } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import type { AllocatorApi, SandboxSession } from '../allocator/api.ts';
import { dataScopes } from '../auth/data-token.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import { authenticate, type Credential, type CredentialDeps } from './credential.ts';
import { NativeSession } from './native-session.ts';
import type { DataPlaneObserver } from './observer.ts';
import { type Refusal, refusal, refusalOf } from './refusal.ts';
import type { Admitted, SocketRoute, UpgradeRequest } from './socket-route.ts';

export interface NativeRouteDeps extends CredentialDeps {
  readonly allocator: Pick<AllocatorApi, 'openSession'>;
  readonly observer: DataPlaneObserver;
  readonly log: Log;
}

export interface NativeRouteOptions {
  /** How often the sockets ping, as Ready says it. */
  readonly pingMs: number;
}

export const nativeSubprotocol = 'warmpool.v1';
/** One frame, header included. */
export const nativeMessageBytesMax = headerBytes + payloadBytesMax;

/**
 * The native protocol, at its own path and, for clients that offer its subprotocol, at the xgen dialect's. Everything
 * that can be refused is refused before the upgrade.
 */
export class NativeRoute implements SocketRoute {
  readonly #deps: NativeRouteDeps;
  readonly #options: NativeRouteOptions;

  constructor(deps: NativeRouteDeps, options: NativeRouteOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  match(path: string): string | null {
    for (const pattern of paths) {
      const sandboxId = pattern.exec(path)?.[1];
      if (sandboxId !== undefined) return sandboxId;
    }
    return null;
  }

  async admit(request: UpgradeRequest, sandboxId: string): Promise<Refusal | Admitted> {
    const credential = authenticate(this.#deps, request);
    if (!dataScopes.some((scope) => credential.grant.scopes.has(scope))) {
      return refusal(403, 'PERMISSION_DENIED', `needs one of the scopes ${dataScopes.join(', ')}`);
    }
    if (!request.subprotocols.includes(nativeSubprotocol)) {
      return refusal(400, 'INVALID_REQUEST', `offer the subprotocol "${nativeSubprotocol}"`);
    }
    try {
      const session = await this.#deps.allocator.openSession(credential.grant, sandboxId);
      return this.#admitted(session, credential);
    } catch (error) {
      const answer = refusalOf(error);
      if (answer.status === 500) this.#deps.log.error({ err: error }, 'a session could not be opened');
      return answer;
    }
  }

  #admitted(session: SandboxSession, credential: Credential): Admitted {
    const { clock, observer, log, tokens } = this.#deps;
    const { grant } = credential;
    const claimId = grant.claimId ?? session.record.claim?.claimId ?? '';
    const scopes = new Set(dataScopes.filter((scope) => grant.scopes.has(scope)));
    const access = {
      scopes,
      expiresInMs: credential.expiresInMs,
      renew: () => {
        if (grant.hop)
          throw new WarmpoolError('UNSUPPORTED', 'a connection between processes renews no token');
        return tokens.issue({ tenant: grant.tenant, claimId, scopes });
      },
    };
    return {
      kind: 'admitted',
      subprotocol: nativeSubprotocol,
      messageBytesMax: nativeMessageBytesMax,
      open: (socket) =>
        new NativeSession(socket, session, { clock, observer, log, access, pingMs: this.#options.pingMs }),
      abandon: () => session.close(),
    };
  }
}

/** An id is letters and digits: what is percent-encoded is none, and is looked up as little as any other wrong one. */
const paths = [
  /^\/warmpool\/v1\/sandboxes\/([^/]+)\/connect$/,
  /^(?:\/xgen)?\/api\/v[12]\/sandboxes\/([^/]+)\/ws\/?$/,
];
