import { orNull, readSettings, text, whole, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { bytesText } from './words.ts'

const settings = {
  nodes: { value: '<n>', help: 'volunteer nodes; one of them burns', kind: whole(2, 32), default: 4 },
  dumps: {
    value: '<dir>',
    help: 'folder of dumps laid out WIKI/DATE/FILE (default: those of the repository)',
    kind: orNull(text()),
    default: null,
  },
  dir: {
    value: '<dir>',
    help: "where everything is kept; a drill's folder is emptied first",
    kind: text(),
    default: 'drill-data',
  },
  timeout: {
    value: '<seconds>',
    help: 'how long the federation has until everything is safe',
    kind: whole(1, 86_400),
    default: 180,
  },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const drill: Command = {
  name: 'drill',
  summary:
    'a fire drill on this machine: origin, archive and coordinator are gone, the wikis come back from volunteers',
  settings,
  examples: [
    'wikiseed drill',
    'wikiseed drill --nodes 6 --dumps ~/dumps --dir /tmp/drill',
    'wikiseed drill --json',
  ],
  async run({ flags }, terminal) {
    const values = readSettings(settings, { flags, env: {}, file: null })
    const { runDrill } = await import('../demo/drill.ts')
    const say = (line: string) => (values.json ? terminal.note(line) : terminal.out(line))
    const { nodes, dumps, dir } = values
    const report = await runDrill({ nodes, dumps, dir, timeoutMs: values.timeout * 1_000, say })
    if (values.json) {
      terminal.out(JSON.stringify(report))
      return report.ok ? 0 : 1
    }
    for (const problem of report.problems) terminal.out(`NOT right: ${problem}`)
    terminal.out(
      report.ok
        ? `Everything is back: ${report.files} files of ${report.wikis} wikis, ${bytesText(report.bytes)}, each byte for byte, ${report.restoredSeconds} s after the fire.`
        : `The drill failed: ${report.problems.length} problems.`,
    )
    return report.ok ? 0 : 1
  },
}
