import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { PrivateDockerEngine, privateEngineMissing } from '../support/docker-engine.ts';

/** The engine all tests share, or why there is none. */
export interface TestEngineChoice extends AsyncDisposable {
  readonly dockerHost: string | null;
  readonly why: string;
}

const nothingToStop = async () => {};

/** One that was named, one that answers, or a private one that ends with the run. */
export async function chooseEngine(): Promise<TestEngineChoice> {
  const named = process.env.WARMPOOL_TEST_DOCKER_HOST;
  if (named)
    return {
      dockerHost: named,
      why: `${named}, as WARMPOOL_TEST_DOCKER_HOST says`,
      [Symbol.asyncDispose]: nothingToStop,
    };
  const usual = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  if (await answers())
    return { dockerHost: usual, why: `the engine at ${usual}`, [Symbol.asyncDispose]: nothingToStop };
  const missing = privateEngineMissing();
  if (missing !== null) return { dockerHost: null, why: missing, [Symbol.asyncDispose]: nothingToStop };
  try {
    const engine = await PrivateDockerEngine.start();
    return {
      dockerHost: engine.dockerHost,
      why: 'a private engine for this run',
      [Symbol.asyncDispose]: () => engine.stop(),
    };
  } catch (error) {
    const why = `a private engine did not start: ${error instanceof Error ? error.message : String(error)}`;
    return { dockerHost: null, why, [Symbol.asyncDispose]: nothingToStop };
  }
}

/** dockerode reads DOCKER_HOST itself. An engine that does not answer a ping in this time is no engine for tests. */
async function answers(): Promise<boolean> {
  const pinged = new Docker().ping().then(
    () => true,
    () => false,
  );
  return await Promise.race([pinged, delay(3_000, false, { ref: false })]);
}
