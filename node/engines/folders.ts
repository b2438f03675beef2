/** Folders as another program names them: it may run in a container, on another machine, or on Windows. Compared as text. */
import { relative, sep } from 'node:path'

export interface FolderMap {
  /** A folder of ours, absolute. */
  readonly from: string
  /** The same folder, as the program sees it. */
  readonly to: string
}

/** `root`, below `from`, as the program sees it. Throws RangeError when it is not below it. */
export function mapFolder({ from, to }: FolderMap, root: string): string {
  const rest = relative(from, root).split(sep)
  if (rest[0] === '..') throw new RangeError(`${root} is not below ${from}`)
  return [plain(to), ...rest].join('/')
}

export function sameFolder(a: string, b: string): boolean {
  return plain(a) === plain(b)
}

export function isBelow(folder: string, root: string): boolean {
  return `${plain(folder)}/`.startsWith(`${plain(root)}/`)
}

function plain(folder: string): string {
  return folder.replaceAll('\\', '/').replace(/\/+$/, '')
}
