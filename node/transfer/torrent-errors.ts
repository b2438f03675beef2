/** From what the file system or the engine's package throws to the port's TorrentError. */
import { TorrentError } from '../ports.ts'
import { ChangedFileError, ShortFileError } from './file-pool.ts'

/** A file that is not there or not whole: no failure while a fetch looks for what it can keep. */
export function isMissing(error: Error): boolean {
  return error instanceof ShortFileError || (error as NodeJS.ErrnoException).code === 'ENOENT'
}

export function aborted(): TorrentError {
  return new TorrentError('aborted', 'the transfer was stopped')
}

export function diskError(error: Error): TorrentError {
  return new TorrentError('disk', error.message, { cause: error })
}

/** The process or the machine lacks something for now; what is on the disk is not touched by that. */
export function isShortage(error: Error): boolean {
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException
  return code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM'
}

/** What a transfer rejects with: its own failure, or the file system's, or the package's. */
export function asTorrentError(error: unknown): TorrentError {
  if (error instanceof TorrentError) return error
  if (!(error instanceof Error)) return new TorrentError('engine', String(error))
  const isDisk = error instanceof ShortFileError || error instanceof ChangedFileError || 'syscall' in error
  return isDisk ? diskError(error) : new TorrentError('engine', error.message, { cause: error })
}

/** One sentence; `what` listens. */
export function startError(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
  what = 'BitTorrent',
): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: `${what} port ${port} is already in use`,
    EACCES: `${what} port ${port} may not be used by this user`,
    EADDRNOTAVAIL: `${what} cannot listen on ${host}: this machine has no such address`,
  }
  return new Error(
    reasons[error.code ?? ''] ?? `${what} cannot listen on ${host}:${port}: ${error.message}`,
    {
      cause: error,
    },
  )
}
