/** How a socket ends: protocol/README.md section 9. */
export const closeCodes = {
  /** The client's own close, echoed. */
  normal: 1000,
  /** The sandbox was deleted or expired, or the node drains. */
  goingAway: 1001,
  textMessage: 1003,
  /** Never sent: no close frame came. */
  abnormal: 1006,
  messageTooBig: 1009,
  /** The sandbox failed, or its guest cannot be reached. */
  failed: 1011,
  /** The client did not read what it had asked for. */
  overloaded: 1013,
  protocolBroken: 4400,
  tokenEnded: 4401,
} as const;

export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** Whether a client connects again, and attaches to what it had detached. Draining says so in its LeaseNotice. */
export function isWorthAnotherTry(code: number): boolean {
  return code === closeCodes.abnormal || code === closeCodes.failed || code === closeCodes.overloaded;
}
