import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';

/**
 * A file that grows by whole lines (D10). It owns the file and how much of it is sound; what the lines mean is its
 * owner's business.
 *
 * A line is `<bytes of the text> <checksum> <text>\n`, appended by one `write`. That is enough for a `kill -9`: what
 * `write` took is the kernel's, and a crash of the host ends the sandboxes as well, so nothing is synced. A write that
 * fails or is cut short (full disk) is taken back before the next one, so that a line never begins inside of another.
 * What opening finds torn at the end is cut off; a damaged line between sound ones is left out and counted, because its
 * neighbours do not depend on it.
 *
 * Turned down: a database, which syncs where nobody needs it, and one file for each entry, which costs a directory
 * entry where this costs a write, and cannot be read in order.
 */
export class JournalFile implements Disposable {
  readonly path: string;
  #fd: number;
  #byteCount: number;
  /** Part of a line may lie behind `#byteCount`. */
  #torn = false;

  private constructor(path: string, fd: number, byteCount: number) {
    this.path = path;
    this.#fd = fd;
    this.#byteCount = byteCount;
  }

  /** Opens or makes it, readable for this user only, and reads what is sound in it. */
  static open(path: string): { readonly file: JournalFile; readonly found: FoundLines } {
    rmSync(besides(path), { force: true });
    const fd = openSync(path, appendFlags, 0o600);
    try {
      // One that another program made may be open to more than its user.
      fchmodSync(fd, 0o600);
      const found = soundLines(readFileSync(fd));
      const file = new JournalFile(path, fd, found.byteCount);
      if (found.tornBytes > 0) file.#cut();
      return { file, found };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** How long it is. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /** Returns how many bytes it took. Throws what the file system says; then the line is not there. */
  append(text: string): number {
    if (this.#torn) this.#cut();
    const line = formatLine(text);
    try {
      writeWhole(this.#fd, line);
    } catch (error) {
      this.#torn = true;
      try {
        this.#cut();
      } catch {
        // The next append cuts first.
      }
      throw error;
    }
    this.#byteCount += line.length;
    return line.length;
  }

  /**
   * Puts these lines in the place of all that were there: whoever opens it finds either the old ones or the new. Returns
   * how many bytes each took. Throws what the file system says; then the old ones are there.
   */
  replace(texts: readonly string[]): readonly number[] {
    const path = besides(this.path);
    const fd = openSync(path, appendFlags | constants.O_TRUNC, 0o600);
    let sizes: readonly number[];
    try {
      sizes = texts.map((text) => {
        const line = formatLine(text);
        writeWhole(fd, line);
        return line.length;
      });
      renameSync(path, this.path);
    } catch (error) {
      closeSync(fd);
      rmSync(path, { force: true });
      throw error;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#byteCount = sizes.reduce((sum, size) => sum + size, 0);
    this.#torn = false;
    return sizes;
  }

  /** Whatever is appended later fails, and meets no other file that was given this one's number. */
  [Symbol.dispose](): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) closeSync(fd);
  }

  #cut(): void {
    ftruncateSync(this.#fd, this.#byteCount);
    this.#torn = false;
  }
}

export interface FoundLines {
  readonly lines: readonly FoundLine[];
  /** Lines with a sound one behind them that are not sound themselves. */
  readonly damagedCount: number;
  /** Up to the end of the last sound line. */
  readonly byteCount: number;
  /** Behind that: what a crash, or somebody else, has left. */
  readonly tornBytes: number;
}

export interface FoundLine {
  readonly text: string;
  /** What it takes in the file. */
  readonly byteCount: number;
}

function soundLines(bytes: Buffer): FoundLines {
  const lines: FoundLine[] = [];
  let damagedCount = 0;
  let suspectCount = 0;
  let byteCount = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(newline, start);
    if (end < 0) break;
    const text = parseLine(bytes.subarray(start, end));
    const lineBytes = end + 1 - start;
    start = end + 1;
    if (text === null) {
      suspectCount += 1;
      continue;
    }
    lines.push({ text, byteCount: lineBytes });
    damagedCount += suspectCount;
    suspectCount = 0;
    byteCount = start;
  }
  return { lines, damagedCount, byteCount, tornBytes: bytes.length - byteCount };
}

function parseLine(line: Buffer): string | null {
  const head = /^(\d{1,10}) ([0-9a-f]{16}) /.exec(line.toString('latin1', 0, headBytesMax));
  if (head === null) return null;
  const text = line.subarray(head[0].length);
  return text.length === Number(head[1]) && checksum(text) === head[2] ? text.toString('utf8') : null;
}

/** A full disk may take a part of it. */
function writeWhole(fd: number, line: Buffer): void {
  const takenBytes = writeSync(fd, line);
  if (takenBytes !== line.length) throw new Error('the file system took a part of a line only');
}

function formatLine(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length} ${checksum(bytes)} `), bytes, Buffer.of(newline)]);
}

/** Not against forgers, who could write to the folder of the sandboxes as well: only against damage. */
function checksum(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** Where the next one is put together. What a crash leaves there is nobody's. */
function besides(path: string): string {
  return `${path}.new`;
}

const appendFlags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
const newline = 0x0a;
/** Ten digits, sixteen of the checksum, two spaces. */
const headBytesMax = 28;
