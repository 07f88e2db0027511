import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { WarmpoolError } from '../domain/errors.ts';

/**
 * Holds a state folder for this process. Two services on one folder would take each other's sandboxes for orphans, so
 * the second one is refused. The lock is a listening unix socket: the kernel drops it with the process, however that
 * ends, and a file left behind is told from a live one by connecting to it.
 */
export async function holdStateFolder(folder: string): Promise<AsyncDisposable> {
  try {
    mkdirSync(folder, { recursive: true });
    // Sandboxes run under other uids: they pass through to their own folder and can list nothing.
    chmodSync(folder, 0o711);
  } catch (error) {
    throw new WarmpoolError(
      'INTERNAL',
      `the state folder ${folder} cannot be made; set WARMPOOL_STATE_DIR to a folder of your own`,
      {},
      { cause: error },
    );
  }
  const path = join(folder, 'service.sock');
  if (await answers(path)) {
    throw new WarmpoolError(
      'INTERNAL',
      `another warmpool service uses the state folder ${folder}; stop it, or set WARMPOOL_STATE_DIR`,
    );
  }
  rmSync(path, { force: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return { [Symbol.asyncDispose]: () => close(server) };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
