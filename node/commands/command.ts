/** What a command is: one file each, told to the command line library as plain data. */
import type { Settings } from '../settings.ts'

export interface Command {
  /** Its words: `start`, `coordinator start`. */
  readonly name: string
  readonly summary: string
  /** What stands behind the name: `<path...>`. */
  readonly arguments?: string
  readonly settings: Settings
  /** Also reads WIKISEED_* and the file of --config. */
  readonly configurable?: boolean
  /** Whole lines for the help. */
  readonly examples: readonly string[]
  /** Resolves with the exit code: 0 done, 1 looked and found something wrong. Rejects with UserError when it cannot be done. */
  run(input: CommandInput, terminal: Terminal): Promise<number>
}

export interface CommandInput {
  readonly args: readonly string[]
  /** By setting name, undefined when not given. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly config: string | null
}

export interface Terminal {
  /** A line for the reader or the next program. */
  out(line: string): void
  /** A line about what goes on. */
  note(line: string): void
}
