import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { delimiter, join } from 'node:path';

/**
 * What some tests need beside Node. `requirement(name)` says whether it is there: `skip` is false, or the sentence to
 * skip with. Where WARMPOOL_REQUIRE lists the name, a missing one throws instead, so that nothing is skipped silently.
 */
export type RequirementName = 'redis' | 'docker' | 'bubblewrap' | 'root';

/** null: it is there; otherwise why not. */
const missing: Readonly<Record<RequirementName, () => string | null | Promise<string | null>>> = {
  redis: () => notOnPath('redis-server'),
  bubblewrap: () => notOnPath('bwrap'),
  root: () => (process.getuid?.() === 0 ? null : 'this needs to run as root'),
  docker: async () => ((await engineAnswers()) ? null : 'no Docker engine answers'),
};

export async function requirement(name: RequirementName): Promise<{ readonly skip: string | false }> {
  const why = await missing[name]();
  if (why === null) return { skip: false };
  const required = (process.env.WARMPOOL_REQUIRE ?? '').split(',').map((part) => part.trim());
  if (required.includes(name)) throw new Error(`WARMPOOL_REQUIRE lists ${name}, but ${why}`);
  return { skip: `${name}: ${why}` };
}

function notOnPath(program: string): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)))
    ? null
    : `${program} is not on the PATH`;
}

function engineAnswers(): Promise<boolean> {
  const host =
    process.env.WARMPOOL_TEST_DOCKER_HOST ?? process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
  const url = new URL(host);
  const place =
    url.protocol === 'unix:'
      ? { socketPath: url.pathname }
      : { host: url.hostname, port: Number(url.port || 2_375) };
  return new Promise((resolve) => {
    const ping = request({ ...place, path: '/_ping', timeout: 20_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}
