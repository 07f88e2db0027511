/** The bounds of protocol/README.md section 9, and those that its messages state. Each says what it protects. */

export const protocolVersion = 1;
export const nonceBytes = 16;
export const u16Max = 0xffff;
export const u32Max = 0xffff_ffff;

/** The guest keeps one whole frame, and its private memory has to stay under 1 MB. */
export const payloadBytesMax = 65_536;
/** A ping carries a time or a counter; more would make the peer an echo of bulk data. */
export const pingBytesMax = 64;
/** The node looks for a Welcome in foreign bytes. Its known keys take about 90 bytes; the rest is for later versions. */
export const welcomeBytesMax = 1_024;

/** Bytes that one direction of a channel may have on the way, at most and unless told otherwise. */
export const windowBytesMax = 1_048_576;
export const windowBytesDefault = 262_144;
/** Input that each channel of a guest may have on the way, as every guest says in its Welcome: a few of the largest frames. */
export const inputWindowBytes = 262_144;
/** Open channels of a guest, and of a socket: bounded state there. */
export const channelsMax = 1_024;
/** Requests on channel 0 that wait for their answer. */
export const pendingRequestsMax = 64;

export const argvEntriesMax = 1_024;
export const envEntriesMax = 1_024;
/** Output kept for whoever attaches to a detached process. */
export const replayBytesMax = 1_048_576;
export const replayBytesDefault = 65_536;
/** Entries of an ExecList. */
export const listedProcessesMax = 256;
export const signalMax = 64;
/** Columns or rows of a terminal. */
export const terminalSideMax = 10_000;

/** What Linux takes for a path. */
export const pathBytesMax = 4_095;
export const listedEntriesMax = 1_000_000;
/** Mode: the low twelve bits. */
export const modeMax = 0o7777;
export const sha256Bytes = 32;
export const listedPortsMax = 1_024;
