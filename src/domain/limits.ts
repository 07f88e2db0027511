/** Every limit of the public surface, with the reason beside it. Anything over one is refused, never clamped. */

/** A record with its customisation is one Redis hash read on every claim; 64 KiB keeps that one network packet burst. */
export const customisationBytesMax = 65_536;
export const envEntriesMax = 256;
export const envNameBytesMax = 256;
export const envValueBytesMax = 32_768;
export const metadataEntriesMax = 64;
export const metadataKeyBytesMax = 128;
export const metadataValueBytesMax = 1_024;
/** The namespace of warmpool's own labels and metadata (HARDENING.md A18). */
export const reservedMetadataPrefix = 'warmpool';

export const userBytesMax = 128;
/** PATH_MAX of Linux. */
export const cwdBytesMax = 4_096;
export const requestIdBytesMax = 128;
/** How long a repeated create with the same request id gets the same answer. */
export const requestMemoryMs = 600_000;
/** How long the record of an ended sandbox can still be read, so that a late caller learns why it ended. */
export const endedRecordMs = 600_000;
/** The same for one that nobody ended: its owner may come back to it late, and is told that its time was up. */
export const expiredRecordMs = 3_600_000;

export const leaseTtlMsMin = 1_000;
export const leaseTtlMsMax = 7 * 24 * 3_600_000;
/** Of a claim that may be kept alive without end: longer than any host runs, and still a time that every clock can tell. */
export const lifetimeWhileKeptMs = 3_650 * 24 * 3_600_000;

/** Cores; below a hundredth the guest itself would crawl. */
export const cpuMin = 0.01;
export const cpuMax = 1_024;
export const memoryMbMin = 16;
export const memoryMbMax = 4_194_304;
export const diskMbMin = 1;
export const diskMbMax = 16_777_216;

export const poolNamePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** argv and env of one command travel in one guest link frame (protocol/README.md). */
export const execBytesMax = 60_000;
export const argvEntriesMax = 1_024;
export const execTimeoutMsMax = 24 * 3_600_000;
/** Unary Exec: the answer must fit the 4 MiB of a gRPC message, both streams together. */
export const execOutputBytesDefault = 1_048_576;
export const execOutputBytesMax = 1_572_864;
export const execStdinBytesMax = 1_048_576;

export const listPageSizeDefault = 100;
export const listPageSizeMax = 1_000;
