import { createHash } from 'node:crypto';

/** What a server has said to an upgrade. */
export type UpgradeAnswer =
  /** `rest` is what came behind it: frames. */
  | { readonly kind: 'upgraded'; readonly rest: Uint8Array }
  | { readonly kind: 'refused'; readonly status: number; readonly body: string }
  /** It is no answer to this upgrade. */
  | { readonly kind: 'wrong'; readonly sentence: string };

/** The request that asks for a WebSocket (RFC 6455, 4.1). */
export function upgradeRequest(
  url: URL,
  options: { readonly key: string; readonly subprotocol: string; readonly credential: string | undefined },
): string {
  const { key, subprotocol, credential } = options;
  // What a header cannot carry would begin another one.
  if (credential !== undefined && !headerPattern.test(credential)) {
    throw new TypeError('the token has characters that a header cannot carry');
  }
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Protocol: ${subprotocol}`,
    ...(credential === undefined ? [] : [`Authorization: Bearer ${credential}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Reads the answer to one upgrade, from as many pieces as it comes in. */
export class UpgradeAnswerReader {
  readonly #key: string;
  readonly #subprotocol: string;
  #bytes: Buffer = Buffer.alloc(0);
  #head: AnswerHead | null = null;

  constructor(options: { readonly key: string; readonly subprotocol: string }) {
    this.#key = options.key;
    this.#subprotocol = options.subprotocol;
  }

  /** null: more of it has to come. The bytes are the caller's again when this returns. */
  push(bytes: Uint8Array): UpgradeAnswer | null {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.#head === null) {
      const end = this.#bytes.indexOf(blankLine);
      if (end === -1) return this.#bytes.length > answerBytesMax ? wrong('its head is too long') : null;
      const head = parseHead(this.#bytes.toString('latin1', 0, end));
      if (head === null) return wrong('it does not speak HTTP/1.1');
      this.#bytes = this.#bytes.subarray(end + blankLine.length);
      if (head.status === switching) return this.#judge(head);
      this.#head = head;
    }
    const length = Number(this.#head.headers.get('content-length') ?? Number.NaN);
    const isWhole =
      this.#bytes.length >= Math.min(length, answerBytesMax) || this.#bytes.length > answerBytesMax;
    return isWhole ? this.end() : null;
  }

  /** Nothing more comes. */
  end(): UpgradeAnswer {
    if (this.#head === null) return wrong('the connection was closed without an answer');
    // Chunks would have to be put together; the status says what to do.
    const isPlain = !this.#head.headers.has('transfer-encoding');
    const body = isPlain ? this.#bytes.subarray(0, answerBytesMax).toString() : '';
    return { kind: 'refused', status: this.#head.status, body };
  }

  #judge({ headers }: AnswerHead): UpgradeAnswer {
    const accept = createHash('sha1').update(`${this.#key}${acceptGuid}`).digest('base64');
    if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return wrong('it upgraded to something else');
    if (headers.get('sec-websocket-accept') !== accept)
      return wrong('its Sec-WebSocket-Accept is not of this key');
    if (headers.get('sec-websocket-protocol') !== this.#subprotocol) {
      return wrong(`it does not speak ${this.#subprotocol}`);
    }
    if (headers.has('sec-websocket-extensions')) return wrong('it chose an extension that nobody offered');
    return { kind: 'upgraded', rest: this.#bytes };
  }
}

interface AnswerHead {
  readonly status: number;
  /** By name in small letters. */
  readonly headers: ReadonlyMap<string, string>;
}

function parseHead(text: string): AnswerHead | null {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) return null;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status), headers };
}

function wrong(sentence: string): UpgradeAnswer {
  return { kind: 'wrong', sentence };
}

const headerPattern = /^[\t\x20-\x7e\x80-\xff]*$/;
const switching = 101;
const blankLine = '\r\n\r\n';
/** Of the head, and of a refusal: a sentence in JSON. */
const answerBytesMax = 16_384;
/** RFC 6455, 1.3. */
const acceptGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
