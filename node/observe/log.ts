/** The Log port over pino: one JSON line an entry. The only file that names pino. */
import { mkdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Logger, pino } from 'pino'
import type { Log } from '../ports.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level: LogLevel
  /** Lines go to `<folder>/node.log`, older ones to `node.log.1`; null: to stderr. */
  readonly folder: string | null
  /** The file is turned over when it has this size, so that both together take at most twice as much. */
  readonly fileBytesMax?: number
}

const FILE_BYTES_MAX = 32 * 1024 * 1024
const FILE_NAME = 'node.log'

/** Names of fields whose values are never written, at the top of an entry and two levels below. */
const SECRETS = [
  'accessKey',
  'authorization',
  'cookie',
  'password',
  'privateKey',
  'privateKeyRaw',
  'secret',
  'secretAccessKey',
  'secretKey',
  'seed',
  'token',
]

/** Throws the file system's error when the folder cannot be written. */
export function createLog(options: LogOptions): Log {
  const { level, folder, fileBytesMax = FILE_BYTES_MAX } = options
  const settings = {
    level,
    // No process id and no host name: a log is often sent to strangers for help.
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: describeError, err: describeError },
    redact: {
      paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[not logged]',
    },
  }
  const destination =
    folder === null ? pino.destination({ dest: 2, sync: true }) : logFile(folder, fileBytesMax)
  return wrap(pino(settings, destination))
}

/** Written in step with the program, so that the last lines before a kill are there. */
function logFile(folder: string, bytesMax: number): { write(line: string): void } {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, FILE_NAME)
  let sizeBytes = sizeOf(path)
  const file = pino.destination({ dest: path, sync: true, mode: 0o600 })
  return {
    write(line) {
      if (sizeBytes > 0 && sizeBytes + line.length > bytesMax) {
        renameSync(path, `${path}.1`)
        file.reopen(path)
        sizeBytes = 0
      }
      sizeBytes += Buffer.byteLength(line)
      file.write(line)
    },
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Log fields hold errors as objects or as text. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  return { name, message, stack, ...('code' in error ? { code: error.code } : {}) }
}

function wrap(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => wrap(logger.child(fields)),
  }
}
