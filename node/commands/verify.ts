import { type VerifiedFile, verifyPath } from '../folder/verify-folder.ts'
import { readSettings, yesNo } from '../settings.ts'
import { WorkerHasher } from '../transfer/hasher.ts'
import type { Command } from './command.ts'

const settings = {
  structure: {
    value: null,
    help: 'only digests: do not unpack each file to see whether its form is whole',
    kind: yesNo,
    default: true,
  },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const verify: Command = {
  name: 'verify',
  summary: 'say which dump files are whole, altered, truncated, missing or foreign, and where they break',
  arguments: '<path...>',
  settings,
  examples: [
    'wikiseed verify ~/.local/share/wikiseed/mirror',
    'wikiseed verify tenwiki/20260101',
    'wikiseed verify tenwiki/20260101/tenwiki-20260101-pages-articles.xml.bz2 --json',
  ],
  async run({ args, flags }, terminal) {
    const { json, structure } = readSettings(settings, { flags, env: {}, file: null })
    // One file at a time.
    const hasher = new WorkerHasher({ teamsMax: 1 })
    const files: VerifiedFile[] = []
    try {
      for (const path of args) files.push(...(await verifyPath(path, { hasher, structure })))
    } finally {
      await hasher.close()
    }
    const ok = files.every((file) => file.verdict === 'whole')
    if (json) {
      terminal.out(JSON.stringify({ ok, files }))
      return ok ? 0 : 1
    }
    for (const file of files) terminal.out(lineOf(file))
    const wrong = files.filter((file) => file.verdict !== 'whole').length
    const unproven = files.filter((file) => file.verdict === 'whole' && file.by === 'structure').length
    terminal.out(
      wrong === 0
        ? `${files.length === 1 ? 'The file is' : `All ${files.length} files are`} whole${unproven === 0 ? '' : `, ${unproven} of them by structure only`}.`
        : `${wrong} of ${files.length} files are not whole.`,
    )
    return ok ? 0 : 1
  },
}

function lineOf({ path, verdict, offsetBytes, detail }: VerifiedFile): string {
  const where = offsetBytes === null ? '' : `at byte ${offsetBytes}`
  const why = [where, detail].filter((part) => part !== '').join(': ')
  return `${verdict.padEnd(9)}  ${path}${why === '' ? '' : `  (${why})`}`
}
