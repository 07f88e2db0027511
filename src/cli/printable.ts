/**
 * What a terminal may act on instead of showing: C0 and C1 controls (ANSI sequences begin with one), line separators,
 * and the marks that turn the direction of text around (A16).
 */
const acting = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A text of the server's for a person: on one line, without anything that a terminal acts on. */
export function printable(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replace(acting, '');
}

/** One JSON document. Nothing is lost: what a terminal might act on is escaped. */
export function printableJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, null, indent).replace(acting, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
