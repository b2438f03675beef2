/** Network namespaces for tests: machines with their own interfaces and routes, cut off from everything else. Linux, as root. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

export interface Namespace {
  readonly pid: number
  /** Runs `sh -ec script` in it and returns what it printed; throws when it fails. */
  run(script: string): string
  spawn(command: string, args: readonly string[]): ChildProcess
  /** Gone with the last process in it. */
  close(): Promise<void>
}

/** Why this machine cannot make them; null: it can. */
export function namespacesMissing(programs: readonly string[]): string | null {
  const missing = ['unshare', 'nsenter', 'ip', ...programs].filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  )
  if (missing.length > 0) return `${missing.join(', ')} missing`
  const made = spawnSync('unshare', [
    '-n',
    'sh',
    '-ec',
    'ip link set lo up; ip link add one type veth peer name other',
  ])
  return made.status === 0 ? null : 'no network namespaces without more privileges'
}

export async function namespace(): Promise<Namespace> {
  // Ends with this process: its input closes.
  const keeper = spawn('unshare', ['-n', 'sh', '-ec', 'ip link set lo up; echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(keeper.stdout, 'data')
  const { pid } = keeper
  if (pid === undefined) throw new Error('unshare does not run')
  const enter = ['-t', String(pid), '-n', '--']
  return {
    pid,
    run: (script) => execFileSync('nsenter', [...enter, 'sh', '-ec', script], { encoding: 'utf8' }),
    spawn: (command, args) =>
      spawn('nsenter', [...enter, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] }),
    close: async () => {
      const ended = once(keeper, 'exit')
      keeper.stdin.end()
      await ended
    },
  }
}

/** A cable: two interfaces of that name, each with its address (`192.168.77.1/24`), the first end in `a`. */
export function cable(name: string, a: Namespace, addressA: string, b: Namespace, addressB: string): void {
  a.run(`ip link add ${name} type veth peer name ${name} netns ${b.pid}`)
  for (const [end, address] of [
    [a, addressA],
    [b, addressB],
  ] as const)
    end.run(`ip addr add ${address} dev ${name}; ip link set ${name} up`)
}

/** Ends a child of a namespace, and waits until it is gone. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
