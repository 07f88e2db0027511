// Original file: proto/warmpool/v1/file_service.proto

export const FileKind = {
  FILE_KIND_UNSPECIFIED: 'FILE_KIND_UNSPECIFIED',
  FILE_KIND_FILE: 'FILE_KIND_FILE',
  FILE_KIND_DIRECTORY: 'FILE_KIND_DIRECTORY',
  FILE_KIND_SYMLINK: 'FILE_KIND_SYMLINK',
  FILE_KIND_FIFO: 'FILE_KIND_FIFO',
  FILE_KIND_SOCKET: 'FILE_KIND_SOCKET',
  FILE_KIND_BLOCK: 'FILE_KIND_BLOCK',
  FILE_KIND_CHARACTER: 'FILE_KIND_CHARACTER',
} as const;

export type FileKind =
  | 'FILE_KIND_UNSPECIFIED'
  | 0
  | 'FILE_KIND_FILE'
  | 1
  | 'FILE_KIND_DIRECTORY'
  | 2
  | 'FILE_KIND_SYMLINK'
  | 3
  | 'FILE_KIND_FIFO'
  | 4
  | 'FILE_KIND_SOCKET'
  | 5
  | 'FILE_KIND_BLOCK'
  | 6
  | 'FILE_KIND_CHARACTER'
  | 7

export type FileKind__Output = typeof FileKind[keyof typeof FileKind]
