import { readFile } from 'node:fs/promises';
import { pack } from 'tar-stream';
import { say } from './report.mjs';

/** Whether Docker Hub can be reached from here: any HTTP answer counts, it is 401 for strangers. */
export async function registryAnswers() {
  try {
    await fetch('https://registry-1.docker.io/v2/', { signal: AbortSignal.timeout(registryMsMax) });
    return true;
  } catch {
    return false;
  }
}

/** Builds the Dockerfile of this folder. The engine needs a network for it: the base image, then Debian packages. */
export async function buildWithEngine(docker, tag) {
  say('building the Dockerfile with the engine');
  const context = pack();
  for (const name of ['Dockerfile', 'packages.txt', 'configure-rootfs.sh']) {
    context.entry({ name, mode: 0o644, mtime: new Date(0) }, await readFile(new URL(name, import.meta.url)));
  }
  context.finalize();
  // The host's network, because an engine may have no bridge.
  const output = await docker.buildImage(context, { t: tag, networkmode: 'host', rm: true, forcerm: true });
  await new Promise((resolve, reject) => {
    docker.modem.followProgress(
      output,
      (error) => (error ? reject(error) : resolve()),
      (event) => {
        if (event.error) reject(new Error(event.error.trim()));
        else if (/^Step /.test(event.stream ?? '')) say(event.stream.trim());
      },
    );
  });
}

const registryMsMax = 4_000;
