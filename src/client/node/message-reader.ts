/** What a server sends, put together from the pieces it comes in: RFC 6455, 5, the client's end. */
export interface MessageSink {
  /** The bytes are the sink's. */
  onMessage(message: Buffer, isText: boolean): void;
  onPing(payload: Buffer): void;
  onClose(code: number, reason: string): void;
}

/** Which rule the server broke, with the close code that says so. */
export interface BrokenRule {
  readonly code: number;
  readonly sentence: string;
}

/**
 * Takes bytes as they come and gives whole messages. It owns the frame that is half there and the fragments before it.
 *
 *   head ──complete──▶ body ──complete──▶ head          head or body ──a close, a broken rule──▶ done (takes nothing)
 *
 * Invariants: it never holds more than one message of the largest size, one control frame, and a head of ten bytes; memory for
 * a body is taken only after its length was checked.
 */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #messageBytesMax: number;
  readonly #head = new Uint8Array(headBytesMax);
  #headBytes = 0;
  #headLength = headBytesMin;
  #body: Buffer | null = null;
  #bodyBytes = 0;
  /** Of an unfinished message: its kind, and the frames of it that are there. */
  #fragmentsOf: number | null = null;
  #fragments: Buffer[] = [];
  #isDone = false;

  constructor(sink: MessageSink, messageBytesMax: number) {
    this.#sink = sink;
    this.#messageBytesMax = messageBytesMax;
  }

  /** The bytes are the caller's again when this returns. After a broken rule nothing is taken any more. */
  push(bytes: Uint8Array): BrokenRule | null {
    let at = 0;
    while (at < bytes.length && !this.#isDone) {
      if (this.#body === null) {
        at = this.#takeHead(bytes, at);
        if (this.#headBytes < this.#headLength) continue;
        const broken = this.#begin();
        if (broken) return this.#stop(broken);
      } else {
        const piece = bytes.subarray(at, at + this.#body.length - this.#bodyBytes);
        this.#body.set(piece, this.#bodyBytes);
        this.#bodyBytes += piece.length;
        at += piece.length;
      }
      const body = this.#body;
      if (body === null || this.#bodyBytes < body.length) continue;
      this.#body = null;
      const broken = this.#finish(body);
      if (broken) return this.#stop(broken);
    }
    return null;
  }

  #stop(broken: BrokenRule): BrokenRule {
    this.#isDone = true;
    return broken;
  }

  #takeHead(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length && this.#headBytes < this.#headLength) {
      this.#head[this.#headBytes] = bytes[at] ?? 0;
      this.#headBytes += 1;
      at += 1;
      if (this.#headBytes === headBytesMin) {
        const short = (this.#head[1] ?? 0) & 0x7f;
        this.#headLength = headBytesMin + (short === 126 ? 2 : short === 127 ? 8 : 0);
      }
    }
    return at;
  }

  /** The head is complete: takes memory for what it announces. */
  #begin(): BrokenRule | null {
    const [first = 0, second = 0] = this.#head;
    const length = this.#bodyLength(second);
    this.#headBytes = 0;
    this.#headLength = headBytesMin;
    if ((first & 0x70) !== 0) return wrong('a reserved bit is set, and no extension was agreed on');
    if ((second & 0x80) !== 0) return wrong('a server masks nothing');
    const opcode = first & 0x0f;
    const isControl = opcode >= opcodes.close;
    if (isControl && ((first & finalBit) === 0 || length > controlBytesMax)) {
      return wrong('a control frame is whole, and of at most 125 bytes');
    }
    if (opcode === opcodes.continuation && this.#fragmentsOf === null) return wrong('nothing is continued');
    if ((opcode === opcodes.text || opcode === opcodes.binary) && this.#fragmentsOf !== null) {
      return wrong('a message begins inside of another');
    }
    if (!known.has(opcode)) return wrong(`opcode ${opcode}`);
    const before = isControl ? 0 : this.#fragments.reduce((sum, { length: each }) => sum + each, 0);
    if (length + before > this.#messageBytesMax || this.#fragments.length >= fragmentsMax) {
      return { code: 1009, sentence: 'the message is over the limit' };
    }
    this.#body = Buffer.allocUnsafe(length);
    this.#bodyBytes = 0;
    return null;
  }

  #bodyLength(second: number): number {
    const short = second & 0x7f;
    if (short < 126) return short;
    let length = 0;
    const end = short === 126 ? 4 : headBytesMax;
    for (let at = headBytesMin; at < end; at += 1) length = length * 256 + (this.#head[at] ?? 0);
    return length;
  }

  /** The head stays until the next begins, so it still says what this body is. */
  #finish(body: Buffer): BrokenRule | null {
    const [first = 0] = this.#head;
    const opcode = first & 0x0f;
    if (opcode === opcodes.ping) this.#sink.onPing(body);
    else if (opcode === opcodes.close) return this.#finishClose(body);
    else if (opcode !== opcodes.pong) this.#finishData(body, opcode, (first & finalBit) !== 0);
    return null;
  }

  #finishData(body: Buffer, opcode: number, isFinal: boolean): void {
    const kind = this.#fragmentsOf ?? opcode;
    if (!isFinal) {
      this.#fragmentsOf = kind;
      this.#fragments.push(body);
      return;
    }
    const whole = this.#fragments.length === 0 ? body : Buffer.concat([...this.#fragments, body]);
    this.#fragments = [];
    this.#fragmentsOf = null;
    this.#sink.onMessage(whole, kind === opcodes.text);
  }

  #finishClose(body: Buffer): BrokenRule | null {
    if (body.length === 1) return wrong('a close code has two bytes');
    this.#isDone = true;
    const code = body.length === 0 ? noCode : body.readUInt16BE();
    this.#sink.onClose(code, body.subarray(2).toString());
    return null;
  }
}

function wrong(sentence: string): BrokenRule {
  return { code: 1002, sentence };
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export const finalBit = 0x80;
const known: ReadonlySet<number> = new Set(Object.values(opcodes));
const headBytesMin = 2;
/** Two, and the length in eight. */
const headBytesMax = 10;
const controlBytesMax = 125;
/** Empty fragments hold no bytes of the limit, but memory. Nobody cuts 64 KiB into more. */
const fragmentsMax = 1_024;
/** A close frame without a code. */
const noCode = 1005;
