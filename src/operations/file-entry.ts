/** The entry of a file as every operation gives it back; the codec's own. */
export type { FileEntry, FileKind } from '../../protocol/file-answers.ts';
