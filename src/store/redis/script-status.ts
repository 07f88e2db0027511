/**
 * The first element of every script's answer. Defined here once: the script loader writes the numbers into the Lua
 * source wherever it says STATUS_<name>, so the two sides cannot drift apart.
 */
export const scriptStatus = {
  DONE: 0,
  NOT_FOUND: 1,
  WRONG_STATE: 2,
  STALE_INCARNATION: 3,
  OTHER_NODE: 4,
  NOT_DUE: 5,
  /** The record lacks a field that the step needs; the answer names it. Nothing was changed. */
  GARBLED: 6,
  /** The sandbox id that was to be created belongs to something else. */
  ID_TAKEN: 7,
  NO_POOL: 8,
  SPEC_CHANGED: 9,
  TARGET_MET: 10,
  STARTS_IN_FLIGHT: 11,
  MAX_TOTAL: 12,
  CLAIMED: 13,
  STARTING: 14,
  REPEATED: 15,
  NO_READY: 16,
  REQUEST_ID_REUSED: 17,
  NO_SURPLUS: 18,
  WAITING: 19,
  QUEUE_FULL: 20,
  TENANT_QUEUE_FULL: 21,
  OVER_LIMIT: 22,
} as const;

export type ScriptStatusName = keyof typeof scriptStatus;
