/** Fresh wikis: Debian's MediaWiki on a MariaDB that is started here, on a socket in a folder of its own. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024
/** Of any program that is started here. */
const PROGRAM_MS = 600_000

export const MEDIAWIKI = '/usr/share/mediawiki'
const PROGRAMS = ['php', 'mariadb', 'mariadbd', 'mariadb-install-db', 'bzip2', '7zz', 'python3']

/** What is missing of what these tests need; empty when nothing is. */
export function missingForMediaWiki(): string[] {
  const missing = PROGRAMS.filter((name) => {
    try {
      execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' })
      return false
    } catch {
      return true
    }
  })
  if (!existsSync(join(MEDIAWIKI, 'maintenance', 'install.php'))) missing.push('mediawiki')
  return missing
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly error: string
}

export interface Wiki {
  readonly database: string
  /** Appends to LocalSettings.php. */
  configure(lines: string): void
  /** A script of maintenance/ by its name. Rejects when it fails. */
  maintenance(script: string, ...args: string[]): Promise<string>
  /** sh on a script that `wikiseed restore` wrote. */
  restore(script: string, env?: NodeJS.ProcessEnv): Promise<Ran>
  /** Rows of one query, columns by tabs. */
  sql(query: string): Promise<string[]>
}

export interface MediaWiki {
  /** A new wiki in English, with the page of the installer. */
  install(database: string): Promise<Wiki>
  sql(query: string, database?: string): Promise<string[]>
  close(): Promise<void>
}

export async function startMediaWiki(): Promise<MediaWiki> {
  const base = mkdtempSync(join(tmpdir(), 'wikiseed-mediawiki-'))
  const data = join(base, 'data')
  const socket = join(base, 'socket')
  // MariaDB refuses to run as root unless it is told.
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  const setUp = ['--no-defaults', ...user, `--datadir=${data}`, '--auth-root-authentication-method=normal']
  await run('mariadb-install-db', [...setUp, '--skip-test-db'])
  // Nothing here must outlive a power cut.
  const fast = [
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-flush-method=nosync',
    '--skip-innodb-doublewrite',
  ]
  const options = ['--skip-networking', '--skip-log-bin', ...fast]
  const server = spawn(
    'mariadbd',
    ['--no-defaults', ...user, `--datadir=${data}`, `--socket=${socket}`, ...options],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await ready(server)
  writeFileSync(join(base, '.my.cnf'), `[client]\nsocket=${socket}\nuser=root\n`)
  const env = { PATH: process.env.PATH ?? '', HOME: base }
  const sql = async (query: string, database = 'mysql') => {
    const args = ['-N', '-B', '-e', query, database]
    const { stdout } = await run('mariadb', args, { env, maxBuffer: OUTPUT_BYTES_MAX, timeout: PROGRAM_MS })
    return stdout.split('\n').filter((line) => line !== '')
  }
  return {
    sql,
    async install(database) {
      const conf = join(base, database)
      mkdirSync(conf)
      const args = Object.entries({
        dbtype: 'mysql',
        dbserver: `localhost:${socket}`,
        dbuser: 'root',
        dbpass: '',
        dbname: database,
        installdbuser: 'root',
        confpath: conf,
        pass: 'wikiseed test',
        scriptpath: '/w',
        server: 'http://localhost',
      }).flatMap(([name, value]) => [`--${name}`, value])
      const php = (script: string, words: readonly string[], own: NodeJS.ProcessEnv) =>
        run('php', [join(MEDIAWIKI, 'maintenance', `${script}.php`), ...words], {
          env: own,
          maxBuffer: OUTPUT_BYTES_MAX,
          timeout: PROGRAM_MS,
        })
      await php('install', [...args, 'Fresh', 'Admin'], env)
      const settings = join(conf, 'LocalSettings.php')
      const own = { ...env, MW_CONFIG_FILE: settings, MEDIAWIKI }
      return {
        database,
        configure: (lines) => appendFileSync(settings, `\n${lines}\n`),
        maintenance: async (script, ...words) => (await php(script, words, own)).stdout,
        restore: (script, more = {}) => ran('sh', [script], { ...own, ...more }),
        sql: (query) => sql(query, database),
      }
    },
    async close() {
      if (server.exitCode === null) {
        server.kill('SIGTERM')
        await once(server, 'exit')
      }
      rmSync(base, { recursive: true, force: true })
    },
  }
}

async function ready(server: ChildProcess): Promise<void> {
  let said = ''
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`mariadbd ended: ${said}`)))
    server.stderr?.on('data', (data: Buffer) => {
      if (said.length < 100_000) said += data
      if (said.includes('ready for connections')) resolve()
    })
  })
}

function ran(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { env, maxBuffer: OUTPUT_BYTES_MAX, timeout: PROGRAM_MS },
      (error, out, errors) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, out, error: errors })
      },
    )
  })
}

/** Python reads exports, packed or not, line by line: title, timestamp, author, content model and a digest of the text of each slot.
 * MediaWiki calls an author of whom the dump says nothing `Unknown user`. */
export function revisionsOf(path: string): string[] {
  const unpack = { bz2: 'bzip2 -dc', '7z': '7zz x -so' }[path.split('.').at(-1) ?? ''] ?? 'cat'
  const script = `${unpack} "$1" | python3 -c "$2"`
  const out = execFileSync('sh', ['-c', script, 'sh', path, PYTHON], {
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: PROGRAM_MS,
  })
  return out.toString().trim().split('\n').sort()
}

const PYTHON = `
import hashlib, json, sys, xml.etree.ElementTree as tree
plain = lambda element: element.tag.rpartition('}')[2]
title = None
for event, element in tree.iterparse(sys.stdin.buffer):
    if plain(element) == 'title':
        title = element.text
    elif plain(element) == 'revision':
        parts = {plain(child): child for child in element}
        author = next((child.text for child in parts['contributor'] if plain(child) in ('username', 'ip')), None) if 'contributor' in parts else None
        slots = [element] + [child for child in element if plain(child) == 'content']
        texts = []
        for slot in slots:
            own = {plain(child): child for child in slot}
            if 'text' in own:
                digest = hashlib.sha256((own['text'].text or '').encode()).hexdigest()[:16]
                texts.append([own['role'].text if 'role' in own else 'main', own['model'].text, digest])
        print(json.dumps([title, parts['timestamp'].text, (author or 'Unknown user').replace('imported>', ''), sorted(texts)]))
        element.clear()
    elif plain(element) == 'page':
        element.clear()
`

/** What a wiki holds, written by its own dumpBackup.php. */
export async function revisionsIn(wiki: Wiki, folder: string): Promise<string[]> {
  const path = join(folder, `${wiki.database}.xml`)
  await wiki.maintenance('dumpBackup', '--full', '--quiet', `--output=file:${path}`, '--schema-version=0.11')
  return revisionsOf(path)
}

export const text = (path: string): string => readFileSync(path, 'utf8')
