import { after } from 'node:test';
import { ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';

export interface RuntimeUnderTest {
  readonly name: 'bubblewrap' | 'docker';
  readonly dockerHost: string | null;
  /** For the service. */
  readonly env: Readonly<Record<string, string>>;
}

/** Those that `WARMPOOL_TEST_RUNTIMES` names (bubblewrap,docker); the engine is there until the file's tests have ended. */
export async function eachRuntime(): Promise<readonly RuntimeUnderTest[]> {
  const names = (process.env.WARMPOOL_TEST_RUNTIMES ?? 'bubblewrap,docker').split(',');
  const found: RuntimeUnderTest[] = [];
  if (names.includes('bubblewrap'))
    found.push({ name: 'bubblewrap', dockerHost: null, env: { WARMPOOL_RUNTIME: 'bubblewrap' } });
  if (names.includes('docker')) {
    const engine = await useDockerEngine();
    after(() => engine[Symbol.asyncDispose]());
    const { dockerHost } = engine;
    await ensureBaseImage(dockerHost);
    found.push({ name: 'docker', dockerHost, env: { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: dockerHost } });
  }
  return found;
}
