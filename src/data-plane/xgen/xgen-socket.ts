/**
 * One WebSocket, as a session sees it; whoever accepted it calls the session's `onMessage`, `onText` and `onClose`.
 */
export interface XgenSocket {
  /** Never drops. `sent` is called once the bytes have left this process, or never will. */
  send(message: Uint8Array, sent: () => void): void;
  /** Stops taking messages, so that the client's own sends fill up; some that are underway still come. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
}
