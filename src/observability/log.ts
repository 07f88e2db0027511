/** What the core needs of a logger; pino's is one. Strings of users and guests travel as fields, never in the message. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
