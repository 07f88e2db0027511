import type { Principal, SandboxSession } from '../allocator/api.ts';
import { responderFailure } from '../allocator/responder-failure.ts';
import type { Edge } from './edge.ts';

/** One call's use of a sandbox: a session for as long as `use` takes, and what its guest refuses as an error of ours. */
export async function withSession<T>(
  edge: Edge,
  principal: Principal,
  sandboxId: string,
  use: (session: SandboxSession) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const session = await edge.allocator.openSession(principal, sandboxId, signal);
  try {
    return await use(session);
  } catch (error) {
    throw responderFailure(error);
  } finally {
    session.close();
  }
}
