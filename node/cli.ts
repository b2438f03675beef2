/** argv -> command -> exit code. The only file that names commander. */
import { Command as Commander, CommanderError, Option } from 'commander'
import type { Command, Terminal } from './commands/command.ts'
import { isDefect } from './commands/user-error.ts'
import { envOf, flagOf, type Setting } from './settings.ts'
import { VERSION } from './version.ts'

/** By first word, in the order of the help. Loaded when they are called: all of them take half a second and 20 MiB. */
const COMMANDS: Readonly<Record<string, () => Promise<readonly Command[]>>> = {
  start: async () => [(await import('./commands/start.ts')).start],
  status: async () => [(await import('./commands/status.ts')).status],
  identity: async () => [(await import('./commands/identity.ts')).identity],
  read: async () => [(await import('./commands/read.ts')).read],
  get: async () => [(await import('./commands/get.ts')).get],
  extract: async () => [(await import('./commands/extract.ts')).extract],
  restore: async () => [(await import('./commands/restore.ts')).restore],
  verify: async () => [(await import('./commands/verify.ts')).verify],
  torrent: async () => [(await import('./commands/torrent-create.ts')).torrentCreate],
  manifest: async () => [(await import('./commands/manifest-verify.ts')).manifestVerify],
  coordinator: async () => [
    (await import('./commands/coordinator-init.ts')).coordinatorInit,
    (await import('./commands/coordinator-start.ts')).coordinatorStart,
  ],
  demo: async () => [(await import('./commands/demo.ts')).demo],
  drill: async () => [(await import('./commands/drill.ts')).drill],
}

/** Only what the first word calls; all of them for the help, and for a word that is none. */
async function commandsFor(argv: readonly string[]): Promise<readonly Command[]> {
  const [word = ''] = argv
  const called = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
  const loads = called === undefined ? Object.values(COMMANDS) : [called]
  return (await Promise.all(loads.map((load) => load()))).flat()
}

const GROUPS: Readonly<Record<string, string>> = {
  coordinator: 'found a federation, or coordinate one',
  manifest: 'look at what a federation published',
  torrent: 'the deterministic torrents of dumps',
}

/** What an exit code says. */
export const EXIT = {
  done: 0,
  /** An expected failure: one sentence on stderr. */
  failed: 1,
  /** A mistake in the program. */
  defect: 2,
} as const

/** Runs one command line, `argv` without program names. Never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.done
  try {
    const program = build(await commandsFor(argv), (result) => {
      code = result
    })
    await program.parseAsync([...argv], { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.failed
    return report(error, argv)
  }
}

/** Also for what nobody awaited. */
export function report(error: unknown, argv: readonly string[]): number {
  const wantsMore = argv.includes('debug') || process.env.WIKISEED_LOG_LEVEL === 'debug'
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`wikiseed: ${message}\n`)
  if (wantsMore && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  if (!isDefect(error)) return EXIT.failed
  if (!wantsMore) {
    process.stderr.write(
      'That is a mistake in WikiSeed; WIKISEED_LOG_LEVEL=debug shows where. Please report it.\n',
    )
  }
  return EXIT.defect
}

const terminal: Terminal = {
  out: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${line}\n`),
}

function build(commands: readonly Command[], done: (code: number) => void): Commander {
  const program = root(new Commander('wikiseed'))
    .description("Keeps Wikimedia's dumps alive: a peer-to-peer archive run by volunteers.")
    .version(VERSION)
    .addHelpText('after', '\nwikiseed COMMAND --help shows the flags of a command, with examples.')
  const groups = new Map<string, Commander>()
  for (const command of commands) {
    const words = command.name.split(' ')
    const last = words.pop() ?? command.name
    const group = words[0]
    let parent = program
    if (group !== undefined) {
      parent = groups.get(group) ?? root(program.command(group)).description(GROUPS[group] ?? '')
      groups.set(group, parent)
    }
    add(parent, last, command, done)
  }
  return program
}

/** Errors are thrown, not printed with a help text as long as a page. */
function root(command: Commander): Commander {
  return command
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'wikiseed: ')),
    })
}

function add(parent: Commander, name: string, command: Command, done: (code: number) => void): void {
  const made = root(
    parent.command(`${name}${command.arguments === undefined ? '' : ` ${command.arguments}`}`),
  )
  made.description(command.summary)
  if (command.configurable === true) {
    made.option('--config <file>', 'JSON file of settings; flags and WIKISEED_* variables stand above it')
  }
  const secrets: string[] = []
  for (const [setting, what] of Object.entries(command.settings)) {
    if (what.secret === true) secrets.push(`  ${envOf(setting).padEnd(32)} ${what.help}`)
    else made.addOption(optionOf(setting, what))
  }
  const help = [
    ...(secrets.length === 0
      ? []
      : ['', 'Secrets, from the environment (or NAME_FILE names a file with it):', ...secrets]),
    '',
    'Examples:',
    ...command.examples.map((line) => `  ${line}`),
  ]
  made.addHelpText('after', help.join('\n'))
  made.action(async () => {
    const { config, ...values } = made.opts<Record<string, unknown>>()
    const given = typeof config === 'string' ? config : null
    // The library sets `--no-x` flags itself; what the user did not say may stand in the environment.
    const said = Object.entries(values).filter(([flag]) => made.getOptionValueSource(flag) === 'cli')
    const flags = Object.fromEntries(said)
    done(await command.run({ args: made.args, flags, env: process.env, config: given }, terminal))
  })
}

/** Defaults are not given to the library: it could not tell them from what the user said. */
function optionOf(name: string, setting: Setting<unknown>): Option {
  const flag = flagOf(name, setting)
  const option = new Option(setting.value === null ? flag : `${flag} ${setting.value}`, helpOf(setting))
  if (setting.value === null) return option.preset(!flag.startsWith('--no-'))
  if (setting.repeat !== true) return option
  return option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value])
}

function helpOf({ help, default: usual, defaultText, repeat, value }: Setting<unknown>): string {
  const more = repeat === true ? ' (may be given more than once)' : ''
  if (value === null || usual === undefined || usual === null || usual === '') return `${help}${more}`
  const shown = defaultText ?? usualText(usual)
  return shown === '' ? `${help}${more}` : `${help}${more} (default: ${shown})`
}

function usualText(usual: unknown): string {
  if (Array.isArray(usual)) return usual.join(', ')
  if (typeof usual === 'object' && usual !== null && 'host' in usual && 'port' in usual)
    return `${usual.host}:${usual.port}`
  return String(usual)
}
