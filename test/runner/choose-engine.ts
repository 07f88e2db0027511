import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { PrivateDockerEngine, privateEngineMissing } from '../support/docker-engine.ts';
import { ensureBaseImage } from '../support/docker-images.ts';

/** The engine all tests share, with the base image in it, or why there is none. */
export interface TestEngineChoice extends AsyncDisposable {
  readonly dockerHost: string | null;
  readonly why: string;
}

/** One that was named, one that answers, or a private one that ends with the run. */
export async function chooseEngine(): Promise<TestEngineChoice> {
  const engine = await findEngine();
  if (engine.dockerHost === null) return engine;
  try {
    await ensureBaseImage(engine.dockerHost);
    return engine;
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    return noEngine(`the image warmpool/base could not be made: ${sentenceOf(error)}`);
  }
}

async function findEngine(): Promise<TestEngineChoice> {
  const named = process.env.WARMPOOL_TEST_DOCKER_HOST;
  if (named) return sharedEngine(named, `${named}, as WARMPOOL_TEST_DOCKER_HOST says`);
  const usual = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  if (await answers()) return sharedEngine(usual, `the engine at ${usual}`);
  const missing = privateEngineMissing();
  if (missing !== null) return noEngine(missing);
  try {
    const engine = await PrivateDockerEngine.start();
    const stop = () => engine.stop();
    return {
      dockerHost: engine.dockerHost,
      why: 'a private engine for this run',
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    return noEngine(`a private engine did not start: ${sentenceOf(error)}`);
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

function sharedEngine(dockerHost: string, why: string): TestEngineChoice {
  return { dockerHost, why, [Symbol.asyncDispose]: async () => {} };
}

function noEngine(why: string): TestEngineChoice {
  return { dockerHost: null, why, [Symbol.asyncDispose]: async () => {} };
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
