import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import { extract, pack } from 'tar-stream';
import { WarmpoolError } from '../../domain/errors.ts';
import type { TemplateSpec } from '../../domain/pool-spec.ts';
import type { DiskMode, WritablePlaces } from './disk-layout.ts';
import { classifyEngineError, engineStatus } from './engine-errors.ts';
import { mayHaveQuota } from './host-report.ts';
import { findUserHome, isCoverable } from './user-home.ts';

/** A template's image with the guest in it, and what of the image decides how its sandboxes are made. */
export interface PreparedImage {
  readonly reference: string;
  readonly diskMode: DiskMode;
  readonly volumes: readonly string[];
  readonly passwd: string;
}

/**
 * Puts the guest into images: a layer of one file, committed as `warmpool/prepared:<hash of image id and guest>`, so
 * that the work is done once per image and guest, by whoever comes first, and nothing is copied at a boot (K9, K10).
 *
 * Owns what it learned, by image id; calls for one image at the same time share one preparation, and a failed one is
 * forgotten. A bind mount of the guest was turned down: it needs the file on the engine's host, which may be remote.
 */
export class ImagePreparer {
  readonly #docker: Docker;
  readonly #guestPath: string;
  readonly #byImageId = new Map<string, Promise<PreparedImage>>();
  readonly #latest = new Map<string, PreparedImage>();

  constructor(docker: Docker, guestPath: string) {
    this.#docker = docker;
    this.#guestPath = guestPath;
  }

  /** What the last preparation of this image name gave, without asking the engine: a boot takes this. */
  async latest(image: string): Promise<PreparedImage> {
    return this.#latest.get(image) ?? (await this.prepare(image));
  }

  /** Throws IMAGE_MISSING with what to run, BOOT_FAILED, or RUNTIME_UNAVAILABLE. */
  async prepare(image: string): Promise<PreparedImage> {
    const prepared = await this.#prepareOnce(image, await this.#imageId(image));
    this.#latest.set(image, prepared);
    return prepared;
  }

  async #prepareOnce(image: string, imageId: string): Promise<PreparedImage> {
    const known = this.#byImageId.get(imageId);
    if (known !== undefined) {
      const prepared = await known;
      if (await this.#imageExists(prepared.reference)) return prepared;
    }
    const preparing = this.#make(image, imageId);
    this.#byImageId.set(imageId, preparing);
    preparing.catch(() => {
      if (this.#byImageId.get(imageId) === preparing) this.#byImageId.delete(imageId);
    });
    return await preparing;
  }

  async #imageId(image: string): Promise<string> {
    try {
      return (await this.#docker.getImage(image).inspect()).Id;
    } catch (error) {
      if (engineStatus(error) === 404) throw imageMissing(image, error);
      throw classifyEngineError(error, `looking for the image ${image}`, 'IMAGE_MISSING');
    }
  }

  async #imageExists(reference: string): Promise<boolean> {
    try {
      await this.#docker.getImage(reference).inspect();
      return true;
    } catch (error) {
      if (engineStatus(error) === 404) return false;
      throw classifyEngineError(error, `looking for the image ${reference}`, 'IMAGE_MISSING');
    }
  }

  async #make(image: string, imageId: string): Promise<PreparedImage> {
    const guest = await readGuest(this.#guestPath);
    const tag = createHash('sha256').update(imageId).update(guest).digest('hex').slice(0, 32);
    // A name of its own per attempt: two nodes on one engine may prepare the same image at the same time.
    const name = `${preparingPrefix}${tag.slice(0, 12)}-${randomBytes(4).toString('hex')}`;
    const entry = {
      Entrypoint: [guestPathInside],
      NetworkDisabled: true,
      HostConfig: { NetworkMode: 'none' },
    };
    try {
      const container = await this.#docker.createContainer({ name, Image: imageId, ...entry });
      try {
        await this.#removeLeftovers();
        const reference = `${preparedRepository}:${tag}`;
        if (!(await this.#imageExists(reference))) {
          await container.putArchive(await guestArchive(guest), { path: '/' });
          await container.commit({ repo: preparedRepository, tag, pause: false });
          await this.#removeSuperseded(imageId, reference);
        }
        const { Config } = await this.#docker.getImage(imageId).inspect();
        return {
          reference,
          diskMode: await this.#probeDiskMode(imageId),
          volumes: Object.keys(Config.Volumes ?? {}).filter(isCoverable),
          passwd: await this.#readPasswd(container),
        };
      } finally {
        await container.remove({ force: true, v: true });
      }
    } catch (error) {
      throw classifyEngineError(error, `putting the guest into the image ${image}`, 'BOOT_FAILED');
    }
  }

  /**
   * Containers of preparations whose node died in the middle; a living one takes seconds. The one just made tells the
   * engine's time.
   */
  async #removeLeftovers(): Promise<void> {
    const found = await this.#docker.listContainers({ all: true, filters: { name: [preparingPrefix] } });
    const newest = Math.max(0, ...found.map((container) => container.Created));
    for (const { Id, Created } of found) {
      if (newest - Created < leftoverSeconds) continue;
      await this.#docker.getContainer(Id).remove({ force: true, v: true });
    }
  }

  /**
   * What an older guest left of the same image. Not where a container still uses it; and a node with that guest, in the
   * middle of an upgrade, makes it again when it misses it.
   */
  async #removeSuperseded(imageId: string, current: string): Promise<void> {
    const prepared = await this.#docker.listImages({ filters: { reference: [preparedRepository] } });
    for (const { ParentId, RepoTags } of prepared) {
      const [reference] = RepoTags ?? [];
      if (ParentId !== imageId || reference === undefined || reference === current) continue;
      try {
        await this.#docker.getImage(reference).remove();
      } catch (error) {
        if (engineStatus(error) === null) throw error;
      }
    }
  }

  /** Whether the engine bounds a container's root. Asking is the only way: nothing in its report says so for xfs. */
  async #probeDiskMode(imageId: string): Promise<DiskMode> {
    if (!mayHaveQuota(await this.#docker.info())) return 'memory';
    try {
      const probe = await this.#docker.createContainer({
        name: `${preparingPrefix}quota-${randomBytes(4).toString('hex')}`,
        Image: imageId,
        Entrypoint: [guestPathInside],
        HostConfig: { NetworkMode: 'none', StorageOpt: { size: '16777216' } },
      });
      await probe.remove({ force: true, v: true });
      return 'quota';
    } catch (error) {
      if (engineStatus(error) === null) throw error;
      return 'memory';
    }
  }

  /** Read from the container that never ran, so nothing inside can race with it. Empty when the image has none. */
  async #readPasswd(container: Docker.Container): Promise<string> {
    let archive: NodeJS.ReadableStream;
    try {
      archive = await container.getArchive({ path: '/etc/passwd' });
    } catch (error) {
      if (engineStatus(error) === 404) return '';
      throw error;
    }
    const chunks: Buffer[] = [];
    let byteCount = 0;
    const entries = archive.pipe(extract());
    for await (const entry of entries) {
      for await (const chunk of entry as AsyncIterable<Buffer>) {
        byteCount += chunk.length;
        if (byteCount <= passwdBytesMax) chunks.push(chunk);
      }
    }
    return byteCount > passwdBytesMax ? '' : Buffer.concat(chunks).toString('utf8');
  }
}

/** Where this template's sandboxes must be able to write. */
export function writablePlaces(prepared: PreparedImage, template: TemplateSpec): WritablePlaces {
  return { home: findUserHome(template.user, prepared.passwd), volumes: prepared.volumes };
}

export const guestPathInside = '/.warmpool/guest';

async function readGuest(guestPath: string): Promise<Buffer> {
  try {
    return await readFile(guestPath);
  } catch (error) {
    const message = `the guest agent is not at ${guestPath}: build it with \`node guest/build.mjs\``;
    throw new WarmpoolError('BOOT_FAILED', message, {}, { cause: error });
  }
}

async function guestArchive(guest: Buffer): Promise<Buffer> {
  const archive = pack();
  // Fixed times and owners: the same guest gives the same layer.
  archive.entry({ name: '.warmpool/', type: 'directory', mode: 0o755, mtime: new Date(0) });
  archive.entry({ name: '.warmpool/guest', mode: 0o555, mtime: new Date(0) }, guest);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function imageMissing(image: string, cause: unknown): WarmpoolError {
  const remedy = image.startsWith('warmpool/base') ? 'npm run image:base' : `docker pull ${image}`;
  return new WarmpoolError(
    'IMAGE_MISSING',
    `the engine has no image "${image}": run \`${remedy}\` against the same engine`,
    { facts: { image } },
    { cause },
  );
}

const preparedRepository = 'warmpool/prepared';
const preparingPrefix = 'warmpool-preparing-';
const leftoverSeconds = 600;
/** The file is text the image brought; a sane one is a few KiB. */
const passwdBytesMax = 1_048_576;
