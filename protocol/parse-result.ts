/** What a parser of bytes from outside gives back: it never throws. The error is a sentence for a log, not for branching. */
export type ParseResult<T> = { readonly value: T } | ParseFailure;

export interface ParseFailure {
  readonly error: string;
  /** Not MessagePack at all, or past its bounds: whoever sends that is not to be trusted with a next frame. */
  readonly malformed?: true;
}
