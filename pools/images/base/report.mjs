import Docker from 'dockerode';

/** Progress goes to stderr, one line each. */
export function say(line) {
  process.stderr.write(`image:base: ${line}\n`);
}

/** A client of the engine at `dockerHost`, which must answer. */
export async function connect(dockerHost) {
  // The library reads its address from this variable, TLS settings included.
  process.env.DOCKER_HOST = dockerHost;
  const docker = new Docker();
  try {
    await docker.ping();
  } catch (error) {
    throw new Error(
      `no Docker engine answers at ${dockerHost} (${error.message}); apt-get install docker.io, or set DOCKER_HOST`,
    );
  }
  return docker;
}
