/** What a parser of bytes from outside gives back: it never throws. The error is a sentence for a log, not for branching. */
export type ParseResult<T> = { readonly value: T } | { readonly error: string };
